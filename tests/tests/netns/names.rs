//! Names, against the real `ip netns`, both ways; and what is left after an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use netns_test::{NamedNetNs, NetNs, NetNsDir, netns_test};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::stdout_of;

type Result = netns_test::Result<()>;

/// The lines of mountinfo that have to do with namespaces' names.
fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines()
        .filter(|line| line.contains("netns") || line.contains("nsfs"))
        .map(str::to_owned)
        .collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[netns_test]
fn ip_handles_what_is_made_here() -> Result {
    made_here()
}

#[netns_test]
fn what_ip_makes_is_handled_here() -> Result {
    made_by_ip(|| {
        stdout_of("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        stdout_of("ip", &["link", "set", "v1", "netns", "green"]);
    })
}

/// Makes a namespace, which `ip` lists, runs a program in, finds by its process, and removes.
pub(crate) fn made_here() -> Result {
    let blue = NamedNetNs::create("blue")?;
    assert!(stdout_of("ip", &["netns", "list"]).starts_with("blue"));
    let inside = stdout_of("ip", &["netns", "exec", "blue", "readlink", "/proc/self/ns/net"]);
    assert_eq!(inside.trim(), blue.netns().to_string());
    let mut command = Command::new("cat");
    let mut child = blue.netns().set_for(command.stdin(Stdio::piped()))?.spawn().unwrap();
    assert_eq!(stdout_of("ip", &["netns", "pids", "blue"]).trim(), child.id().to_string());
    assert_eq!(stdout_of("ip", &["netns", "identify", &child.id().to_string()]).trim(), "blue");
    child.kill().unwrap();
    child.wait().unwrap();
    stdout_of("ip", &["netns", "delete", "blue"]);
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    // What is gone already is no matter.
    drop(blue);
    Ok(())
}

/// Makes `ip` add the namespace `green`, and `fill` move an interface `v1` into it.
pub(crate) fn made_by_ip(fill: impl FnOnce()) -> Result {
    stdout_of("ip", &["netns", "add", "green"]);
    fill();
    assert_eq!(NamedNetNs::list()?, ["green"]);
    let green = NamedNetNs::open("green")?;
    assert_eq!(green, NetNs::from_name("green")?);
    assert_eq!(green, NetNs::from_path("/run/netns/green")?);
    let links = green.run(|| fs::read_to_string("/proc/thread-self/net/dev").unwrap())?;
    assert!(links.contains("v1:") && !links.contains("v0:"), "{links}");
    NamedNetNs::remove("green")?;
    assert_eq!(stdout_of("ip", &["netns", "list"]), "");
    assert!(!Path::new("/run/netns/green").exists());
    Ok(())
}

#[netns_test]
fn a_name_is_taken_away_unless_it_is_kept() -> Result {
    let before = mounts();
    let first = NamedNetNs::create("first")?;
    let path = first.path().to_owned();
    assert_eq!(path, Path::new("/run/netns/first"));
    drop(first);
    assert!(!path.exists());
    let kept = NamedNetNs::create("kept")?.keep();
    assert_eq!(NamedNetNs::open("kept")?, kept);
    NamedNetNs::remove("kept")?;
    // The directory is a mount of its own now, and nothing else is left.
    let after = mounts();
    let more: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert_eq!(more.len(), 1, "{more:?}");
    assert!(more[0].contains(" /run/netns ") && more[0].contains("shared:"), "{more:?}");
    Ok(())
}

#[netns_test]
fn a_name_that_is_taken_is_an_error_that_says_by_what() -> Result {
    let first = NamedNetNs::create("taken")?;
    let error = NamedNetNs::create("taken").unwrap_err().to_string();
    assert!(error.contains("create /run/netns/taken: EEXIST"), "{error}");
    assert!(error.contains("a namespace of that name is there"), "{error}");
    assert_eq!(NamedNetNs::open("taken")?, *first.netns());
    drop(first);
    fs::write("/run/netns/stale", "").unwrap();
    let error = NamedNetNs::create("stale").unwrap_err().to_string();
    assert!(error.contains("no namespace is mounted on it"), "{error}");
    let error = NamedNetNs::open("stale").unwrap_err().to_string();
    assert!(error.contains("it is a regular file, not a network namespace"), "{error}");
    let names = NetNsDir::default().replace_stale(true);
    let replaced = names.create("stale")?;
    assert_eq!(NamedNetNs::open("stale")?, *replaced.netns());
    assert!(names.create("stale").is_err(), "a live one is not replaced");
    Ok(())
}

#[netns_test]
fn names_can_be_in_another_directory() -> Result {
    let directory = Path::new("/run/other/names");
    let names = NetNsDir::in_directory(directory);
    assert_eq!(names.list()?, <[String; 0]>::default());
    let one = names.create("one")?;
    assert_eq!(names.list()?, ["one"]);
    assert_eq!(one.path(), directory.join("one"));
    assert_eq!(names.open("one")?, *one.netns());
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    Ok(())
}

/// Whatever fails, there is no file, no mount and no descriptor more than before, and the thread
/// is where it was.
#[netns_test]
fn after_an_error_all_is_as_before() -> Result {
    drop(NamedNetNs::create("prepares the directory")?);
    let own = NetNs::current()?;
    let before = (mounts(), descriptors(), own);
    let is_as_before = |what: &str| {
        assert_eq!(mounts(), before.0, "{what}");
        assert_eq!(descriptors(), before.1, "{what}");
        assert_eq!(NetNs::current().unwrap(), before.2, "{what}");
        assert_eq!(NamedNetNs::list().unwrap(), <[String; 0]>::default(), "{what}");
    };
    let limit = "/proc/sys/user/max_net_namespaces";
    let all = fs::read_to_string(limit).unwrap();
    // The test's own one counts.
    fs::write(limit, "1").unwrap();
    let error = NamedNetNs::create("limit").unwrap_err().to_string();
    assert!(error.contains("unshare a network namespace: ENOSPC"), "{error}");
    assert!(error.contains("cause: the limit on net namespaces is reached"), "{error}");
    assert!(error.contains("    /proc/sys/user/max_net_namespaces = 1\n"), "{error}");
    fs::write(limit, all).unwrap();
    is_as_before("no namespace");
    for (call, text) in [
        (libc::SYS_unshare, "unshare a network namespace: EACCES"),
        (libc::SYS_mount, "make a shared mount of /run/netns: EACCES"),
        (libc::SYS_flock, "lock /run/netns: EACCES"),
    ] {
        let error =
            refusing(refusal(call), || NamedNetNs::create("refused").map(drop).unwrap_err());
        assert!(error.to_string().contains(text), "{error}");
        is_as_before(text);
    }
    let named = NamedNetNs::create("stays")?;
    let error = refusing(refusal(libc::SYS_umount2), || NamedNetNs::remove("stays").unwrap_err());
    assert!(error.to_string().contains("take away /run/netns/stays: EACCES"), "{error}");
    assert_eq!(NamedNetNs::open("stays")?, *named.netns());
    drop(named);
    is_as_before("no name");
    Ok(())
}

/// The file is there by then, and is taken away.
#[netns_test]
fn a_namespace_that_cannot_be_mounted_leaves_no_file() -> Result {
    drop(NamedNetNs::create("prepares the directory")?);
    let before = mounts();
    let create = || NamedNetNs::create("name").map(drop).unwrap_err();
    let error = refusing(Filter::Binds(libc::EACCES), create).to_string();
    assert!(error.contains("mount a namespace on /run/netns/name: EACCES"), "{error}");
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    stdout_of("mount", &["-o", "remount,ro,bind", "/run/netns"]);
    let error = create().to_string();
    assert!(error.contains("create /run/netns/name: EROFS"), "{error}");
    stdout_of("mount", &["-o", "remount,rw,bind", "/run/netns"]);
    assert_eq!(mounts().len(), before.len());
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    Ok(())
}

fn refusal(call: libc::c_long) -> Filter {
    Filter::Call(call, libc::EACCES)
}

/// Returns the value of `work` on a thread under a filter.
fn refusing<T: Send>(filter: Filter, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            filter_this_thread(filter).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// Fifty threads create and remove the same few names.
#[netns_test]
fn fifty_threads_race_for_names() -> Result {
    let before = NetNs::current()?;
    // A machine where `ip netns add` was run has some below `/run/.host`.
    let of_names = || mounts().into_iter().filter(|line| line.contains("nsfs")).collect::<Vec<_>>();
    let mounts_before = of_names();
    let made = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..50 {
            let (made, before) = (&made, &before);
            scope.spawn(move || {
                for round in 0..4 {
                    let name = format!("name{}", (thread + round) % 5);
                    match NamedNetNs::create(&name) {
                        Ok(named) => {
                            assert_eq!(NamedNetNs::open(&name).unwrap(), *named.netns());
                            made.lock().unwrap().insert(named.netns().cookie().unwrap());
                        }
                        Err(error) => {
                            assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "{error}");
                        }
                    }
                    assert_eq!(NetNs::current().unwrap(), *before);
                }
            });
        }
    });
    assert!(made.into_inner().unwrap().len() >= 5);
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    assert_eq!(of_names(), mounts_before);
    Ok(())
}

/// The inode of a new file may be that of the old one.
#[netns_test]
fn a_name_that_was_made_anew_is_not_taken_away() -> Result {
    for _ in 0..3 {
        let first = NamedNetNs::create("anew")?;
        stdout_of("ip", &["netns", "delete", "anew"]);
        stdout_of("ip", &["netns", "add", "anew"]);
        let second = NamedNetNs::open("anew")?;
        drop(first);
        assert_eq!(NamedNetNs::open("anew")?, second);
        stdout_of("ip", &["netns", "delete", "anew"]);
    }
    // One that has the same namespace, which another process holds.
    let first = NamedNetNs::create("anew")?;
    let mut command = Command::new("cat");
    let mut child = first.netns().set_for(command.stdin(Stdio::piped()))?.spawn().unwrap();
    stdout_of("ip", &["netns", "delete", "anew"]);
    stdout_of("ip", &["netns", "attach", "anew", &child.id().to_string()]);
    let own = first.netns().id();
    drop(first);
    assert_eq!(NamedNetNs::open("anew").unwrap().id(), own);
    NamedNetNs::remove("anew").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    Ok(())
}

#[netns_test]
fn what_has_taken_the_place_of_a_name_stays() -> Result {
    let path = Path::new("/run/netns/place");
    let first = NamedNetNs::create("place")?;
    stdout_of("ip", &["netns", "delete", "place"]);
    fs::write(path, "data").unwrap();
    drop(first);
    assert_eq!(fs::read_to_string(path).unwrap(), "data");
    fs::remove_file(path).unwrap();
    // An empty file, as another process makes it a moment before it mounts on it.
    let first = NamedNetNs::create("place")?;
    stdout_of("ip", &["netns", "delete", "place"]);
    fs::write(path, "").unwrap();
    drop(first);
    assert!(path.exists());
    fs::remove_file(path).unwrap();
    // A file system over the name: it is not ours, and the name below it cannot be reached.
    let first = NamedNetNs::create("place")?;
    fs::write("/run/data", "data").unwrap();
    stdout_of("mount", &["--bind", "/run/data", "/run/netns/place"]);
    drop(first);
    assert_eq!(fs::read_to_string(path).unwrap(), "data");
    // What another process has unmounted is a file of ours.
    let first = NamedNetNs::create("unmounted")?;
    stdout_of("umount", &["-l", "/run/netns/unmounted"]);
    drop(first);
    assert!(!Path::new("/run/netns/unmounted").exists());
    Ok(())
}

#[netns_test]
fn what_is_no_name_is_refused_untouched() -> Result {
    drop(NamedNetNs::create("prepares the directory")?);
    let directory = Path::new("/run/netns");
    fs::write(directory.join("content"), "data").unwrap();
    fs::create_dir(directory.join("directory")).unwrap();
    fs::create_dir(directory.join("disk")).unwrap();
    stdout_of("mount", &["-t", "tmpfs", "data", "/run/netns/disk"]);
    fs::write(directory.join("disk/file"), "data").unwrap();
    fs::write("/run/data", "").unwrap();
    fs::write(directory.join("bound"), "").unwrap();
    stdout_of("mount", &["--bind", "/run/data", "/run/netns/bound"]);
    let target = NamedNetNs::create("target")?;
    std::os::unix::fs::symlink("target", directory.join("link")).unwrap();
    fs::write(directory.join("uts"), "").unwrap();
    stdout_of("mount", &["--bind", "/proc/self/ns/uts", "/run/netns/uts"]);
    let before = (fs::read_to_string("/proc/self/mountinfo").unwrap(), NamedNetNs::list()?);
    for (name, what) in [
        ("content", "it is a file that is not empty"),
        ("directory", "it is a directory"),
        ("disk", "it is a directory with another file system mounted on it"),
        ("bound", "it is a regular file with another file system mounted on it"),
        ("link", "it is a symbolic link"),
        ("uts", "it is a uts namespace"),
    ] {
        let error = NamedNetNs::remove(name).unwrap_err().to_string();
        assert!(error.contains(&format!("take away /run/netns/{name}: {what}")), "{error}");
        let replacing = NetNsDir::default().replace_stale(true).create(name).map(drop).unwrap_err();
        assert!(replacing.to_string().contains("EEXIST"), "{replacing}");
        let what = what.trim_start_matches("it is ");
        assert!(replacing.to_string().contains(&format!("{what} is there")), "{replacing}");
    }
    let after = (fs::read_to_string("/proc/self/mountinfo").unwrap(), NamedNetNs::list()?);
    assert_eq!(after, before);
    assert_eq!(fs::read_to_string(directory.join("content")).unwrap(), "data");
    assert_eq!(fs::read_to_string(directory.join("disk/file")).unwrap(), "data");
    assert_eq!(NamedNetNs::open("target")?, *target.netns());
    Ok(())
}

/// The file below a namespace may be of use without it.
#[netns_test]
fn a_file_with_content_below_a_namespace_is_left() -> Result {
    drop(NamedNetNs::create("prepares the directory")?);
    fs::write("/run/netns/file", "data").unwrap();
    stdout_of("mount", &["--bind", "/proc/self/ns/net", "/run/netns/file"]);
    let error = NamedNetNs::remove("file").unwrap_err().to_string();
    assert!(error.contains("a file that is not empty"), "{error}");
    assert_eq!(fs::read_to_string("/run/netns/file").unwrap(), "data");
    Ok(())
}
