//! Handles: made, opened, compared, entered, and no thread moved that should not be.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use netns_test::{Holder, NetNs, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{again, fails, passes, stdout_of};

type Result = netns_test::Result<()>;

fn own_link() -> PathBuf {
    fs::read_link("/proc/thread-self/ns/net").unwrap()
}

/// The interfaces of the calling thread's namespace.
fn interfaces() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    text.lines().skip(2).map(|line| line.split(':').next().unwrap().trim().to_owned()).collect()
}

#[netns_test]
fn a_new_namespace_is_empty_and_moves_no_thread() -> Result {
    stdout_of("ip", &["link", "add", "here", "type", "bridge"]);
    let before = own_link();
    let new = NetNs::new()?;
    assert_eq!(own_link(), before);
    assert_eq!(new.run(interfaces)?, ["lo"]);
    assert_eq!(own_link(), before);
    assert!(interfaces().contains(&"here".to_owned()));
    assert!(stdout_of("ip", &["link", "show", "lo"]).contains("UP"));
    // Until it is set up.
    let connect = || TcpStream::connect("127.0.0.1:1").unwrap_err().kind();
    assert_eq!(new.run(connect)?, std::io::ErrorKind::NetworkUnreachable);
    new.loopback_up()?;
    assert_eq!(new.run(connect)?, std::io::ErrorKind::ConnectionRefused);
    new.run(|| TcpListener::bind("[::1]:80").map(drop))?.unwrap();
    Ok(())
}

#[netns_test]
fn handles_are_equal_where_the_namespaces_are() -> Result {
    let (own, new) = (NetNs::current()?, NetNs::new()?);
    let pid = std::process::id();
    let tid: u32 = fs::read_link("/proc/thread-self")
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(own, new);
    for same in [
        NetNs::from_pid(pid)?,
        NetNs::from_thread(pid, tid)?,
        NetNs::from_path("/proc/self/ns/net")?,
        own.try_clone()?,
        NetNs::try_from(OwnedFd::from(own.try_clone()?))?,
    ] {
        assert_eq!(same, own);
        assert_eq!(same.cookie()?, own.cookie()?);
    }
    assert_eq!(new.run(NetNs::current)??, new);
    assert_ne!(own.cookie()?, new.cookie()?);
    // As people compare it.
    assert_eq!(own.to_string(), own_link().to_str().unwrap());
    assert!(format!("{own:?}").contains(&own.id().inode.to_string()), "{own:?}");
    assert!(
        stdout_of("lsns", &["-t", "net", "-n", "-o", "NS"]).contains(&own.id().inode.to_string())
    );
    Ok(())
}

#[netns_test]
fn a_guard_brings_its_thread_back() -> Result {
    let (own, first, second) = (NetNs::current()?, NetNs::new()?, NetNs::new()?);
    {
        let _outer = first.enter()?;
        assert_eq!(NetNs::current()?, first);
        {
            let _inner = second.enter()?;
            assert_eq!(NetNs::current()?, second);
        }
        assert_eq!(NetNs::current()?, first);
    }
    assert_eq!(NetNs::current()?, own);
    let panic = std::panic::catch_unwind(|| first.run(|| panic!("on purpose")));
    assert!(panic.is_err());
    assert_eq!(NetNs::current()?, own);
    Ok(())
}

/// And to nowhere else, wherever it was before.
#[netns_test]
fn a_guard_returns_its_thread_to_the_chosen_namespace() -> Result {
    let (own, first, second) = (NetNs::current()?, NetNs::new()?, NetNs::new()?);
    for _ in 0..2 {
        let _outer = first.enter_from(&own)?;
        assert_eq!(NetNs::current()?, first);
        drop(second.enter_from(&first)?);
        assert_eq!(NetNs::current()?, first);
    }
    assert_eq!(NetNs::current()?, own);
    let panic = std::panic::catch_unwind(|| {
        let _guard = first.enter_from(&own).unwrap();
        panic!("on purpose");
    });
    assert!(panic.is_err());
    assert_eq!(NetNs::current()?, own);
    drop(first.enter_from(&second)?);
    assert_eq!(NetNs::current()?, second);
    own.set_current_thread()
}

/// A thread that may not come back must not go on where it does not belong.
#[test]
fn a_guard_whose_way_back_is_barred_aborts() {
    let text = fails(&mut again(&[], &["--exact", "handles::cannot_come_back"]));
    assert!(
        text.contains("a thread cannot return to its network namespace: setns net:["),
        "{text}"
    );
    assert!(text.contains("killed by SIGABRT"), "{text}");
    assert!(!text.contains("went on"), "{text}");
}

#[netns_test]
#[ignore = "run by a_guard_whose_way_back_is_barred_aborts"]
fn cannot_come_back() {
    let guard = NetNs::new().unwrap().enter().unwrap();
    filter_this_thread(Filter::Call(libc::SYS_setns, libc::EPERM)).unwrap();
    drop(guard);
    println!("went on");
}

/// Root of a user namespace that has the outer one's network may go, and may not come back.
#[test]
fn a_thread_that_could_not_come_back_does_not_go() {
    let around = ["unshare", "--map-root-user"];
    passes(&mut again(&around, &["--exact", "handles::in_the_network_of_others"]), 1);
}

#[test]
#[ignore = "run by a_thread_that_could_not_come_back_does_not_go"]
fn in_the_network_of_others() {
    let (own, new) = (NetNs::current().unwrap(), NetNs::new().unwrap());
    new.enter_from(&own).map(drop).unwrap_err();
    let error = new.run(|| unreachable!("it is not to be called")).map(drop).unwrap_err();
    let expected = format!(
        "setns {new}: EPERM (Operation not permitted)\n  the thread could not come back to {own}"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(NetNs::current().unwrap(), own);
    // For good, it may.
    new.set_current_thread().unwrap();
    assert_eq!(NetNs::current().unwrap(), new);
}

/// A thread that may not go stays where it is.
#[netns_test]
fn a_thread_that_may_not_enter_stays() -> Result {
    let (own, new) = (NetNs::current()?, NetNs::new()?);
    filter_this_thread(Filter::Call(libc::SYS_setns, libc::EPERM)).unwrap();
    for error in [
        new.enter().map(drop).unwrap_err(),
        new.enter_from(&own).map(drop).unwrap_err(),
        new.run(|| unreachable!("it is not to be called")).map(drop).unwrap_err(),
        new.spawn(|| ()).map(drop).unwrap_err(),
        new.set_current_thread().unwrap_err(),
    ] {
        assert!(error.to_string().contains(&format!("setns {new}: EPERM")), "{error}");
    }
    let mut command = Command::new("true");
    let refused = new.set_for(&mut command)?.status().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    assert_eq!(NetNs::current()?, own);
    Ok(())
}

#[netns_test]
fn a_socket_keeps_its_namespace() -> Result {
    let new = NetNs::new()?;
    new.loopback_up()?;
    let listener = new.run(|| TcpListener::bind("127.0.0.1:80"))?.unwrap();
    assert!(TcpStream::connect("127.0.0.1:80").is_err());
    let client = new.spawn(|| TcpStream::connect("127.0.0.1:80"))?;
    listener.accept().unwrap();
    client.join().unwrap().unwrap();
    Ok(())
}

#[netns_test]
fn threads_live_where_they_are_started() -> Result {
    let (own, new) = (NetNs::current()?, NetNs::new()?);
    let thread = new.spawn(|| {
        let inner = std::thread::spawn(NetNs::current).join().unwrap();
        (NetNs::current().unwrap(), inner.unwrap())
    })?;
    let (outer, inner) = thread.join().unwrap();
    assert_eq!((&outer, &inner), (&new, &new));
    assert_eq!(NetNs::current()?, own);
    let clone = new.try_clone()?;
    let moved = std::thread::spawn(move || {
        clone.set_current_thread().unwrap();
        NetNs::current().unwrap()
    });
    assert_eq!(moved.join().unwrap(), new);
    assert_eq!(NetNs::current()?, own);
    Ok(())
}

#[netns_test]
fn programs_start_in_a_namespace() -> Result {
    let new = NetNs::new()?;
    let mut command = Command::new("readlink");
    let output = new.set_for(command.arg("/proc/self/ns/net"))?.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), new.to_string());
    assert_ne!(own_link().to_str().unwrap(), new.to_string());
    Ok(())
}

#[netns_test]
async fn programs_of_tokio_start_in_a_namespace() -> Result {
    let new = NetNs::new()?;
    let mut command = tokio::process::Command::new("readlink");
    new.set_for(command.arg("/proc/self/ns/net").as_std_mut())?;
    let output = command.output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), new.to_string());
    Ok(())
}

#[netns_test]
fn a_process_is_found_by_number_and_by_descriptor() -> Result {
    let new = NetNs::new()?;
    let mut command = Command::new("sleep");
    let mut child = new.set_for(command.arg("1000"))?.spawn().unwrap();
    assert_eq!(NetNs::from_pid(child.id()).unwrap(), new);
    // SAFETY: takes two numbers.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    assert!(raw >= 0);
    // SAFETY: the descriptor is new, and has no other owner.
    let pidfd: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(raw.try_into().unwrap()) };
    assert_eq!(NetNs::from_pidfd(&pidfd).unwrap(), new);
    child.kill().unwrap();
    child.wait().unwrap();
    let error = NetNs::from_pidfd(&pidfd).unwrap_err();
    assert!(error.to_string().contains("ESRCH"), "{error}");
    let file = fs::File::open("/dev/null").unwrap();
    assert!(NetNs::from_pidfd(file.as_fd()).unwrap_err().to_string().contains("EINVAL"));
    Ok(())
}

#[netns_test]
fn every_namespace_is_listed_once_with_its_holders() -> Result {
    let (own, held) = (NetNs::current()?, NetNs::new()?);
    let mounted = netns_test::NamedNetNs::create("a name")?;
    let mut command = Command::new("sleep");
    let mut child = held.set_for(command.arg("1000"))?.spawn().unwrap();
    // Its name and namespace are the program's own once it is started.
    let listed = NetNs::list().unwrap();
    let mut ids: Vec<_> = listed.iter().map(|one| one.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), listed.len());
    let of =
        |namespace: &NetNs| &listed.iter().find(|one| one.id == namespace.id()).unwrap().holders;
    let own_process = Holder::Process {
        pid: std::process::id(),
        name: fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned(),
    };
    assert!(of(&own).contains(&own_process), "{listed:?}");
    assert_eq!(of(&held)[..], [Holder::Process { pid: child.id(), name: "sleep".into() }]);
    // The mounts of `/run/netns` are copies of each other, at one place each.
    assert_eq!(of(mounted.netns())[..], [Holder::Mount("/run/netns/a name".into())]);
    child.kill().unwrap();
    child.wait().unwrap();
    Ok(())
}

/// Fifty threads go in and out, and none is where another one went.
#[netns_test]
fn fifty_threads_enter_at_the_same_time() -> Result {
    let own = NetNs::current()?;
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let new = NetNs::new().unwrap();
                for _ in 0..20 {
                    new.run(|| assert_eq!(NetNs::current().unwrap(), new)).unwrap();
                    assert_eq!(NetNs::current().unwrap(), own);
                }
            });
        }
    });
    assert_eq!(NetNs::current()?, own);
    Ok(())
}
