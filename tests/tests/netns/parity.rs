//! A test for each row of the table in docs/NETNS.md, "For people who come from Go's `netns`",
//! under the name that Go's function has there in Rust's spelling, or ours where Go has none.
//! What handles.rs and names.rs prove in depth, these show in short.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use netns_test::{Holder, NamedNetNs, NetNs, netns_test};
use netns_test_tests::{LIMIT, eventually, stdout_of};

use crate::containers;

type Result = netns_test::Result<()>;

/// Returns the network namespace of the calling thread, as the kernel writes it.
fn own_link() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string()
}

/// The number of the calling thread.
fn own_thread() -> u32 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// How many descriptors of this process are open on `namespace`.
fn descriptors_on(namespace: &str) -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_str() == Some(namespace)).count()
}

#[netns_test]
fn get() -> Result {
    assert_eq!(NetNs::current()?.to_string(), own_link());
    // A thread that is elsewhere gets that.
    let other = NetNs::new()?;
    assert_eq!(other.run(NetNs::current)??, other);
    Ok(())
}

#[netns_test]
fn new() -> Result {
    let before = own_link();
    let new = NetNs::new()?;
    assert_eq!(own_link(), before);
    assert_ne!(new.to_string(), before);
    Ok(())
}

#[netns_test]
fn new_named() -> Result {
    let before = own_link();
    let named = NamedNetNs::create("blue")?;
    assert_eq!(own_link(), before);
    assert_ne!(named.netns().to_string(), before);
    assert!(stdout_of("ip", &["netns", "list"]).starts_with("blue"));
    let directory = stdout_of("findmnt", &["-n", "-o", "PROPAGATION", "/run/netns"]);
    // The machine's own mount may be there, too, below the body's `/run`.
    assert_eq!(directory.lines().last(), Some("shared"));
    drop(named);
    assert_eq!(stdout_of("ip", &["netns", "list"]), "");
    let kept = NamedNetNs::create("green")?.keep();
    assert_eq!(NamedNetNs::open("green")?, kept);
    assert!(NamedNetNs::create("../red").is_err());
    Ok(())
}

#[netns_test]
fn delete_named() -> Result {
    stdout_of("ip", &["netns", "add", "blue"]);
    NamedNetNs::remove("blue")?;
    fs::write("/run/netns/stale", "").unwrap();
    NamedNetNs::remove("stale")?;
    assert_eq!(NamedNetNs::list()?, <[String; 0]>::default());
    assert_eq!(fs::read_dir("/run/netns").unwrap().count(), 0);
    Ok(())
}

/// That a thread that cannot come back ends the process is tested in handles.rs.
#[netns_test]
fn set() -> Result {
    let (before, other) = (own_link(), NetNs::new()?);
    {
        let _inside = other.enter()?;
        assert_eq!(own_link(), other.to_string());
    }
    assert_eq!(own_link(), before);
    assert_eq!(other.run(own_link)?, other.to_string());
    let panic = std::panic::catch_unwind(|| other.run(|| panic!("on purpose")));
    assert!(panic.is_err());
    assert_eq!(own_link(), before);
    Ok(())
}

#[netns_test]
fn set_current_thread() -> Result {
    let (before, other) = (own_link(), NetNs::new()?);
    let there = other.to_string();
    let moved = std::thread::spawn(move || {
        other.set_current_thread().unwrap();
        drop(other);
        own_link()
    });
    assert_eq!(moved.join().unwrap(), there);
    assert_eq!(own_link(), before);
    Ok(())
}

#[netns_test]
fn spawn() -> Result {
    let (before, other) = (own_link(), NetNs::new()?);
    assert_eq!(other.spawn(own_link)?.join().unwrap(), other.to_string());
    let mut command = Command::new("readlink");
    let output = other.set_for(command.arg("/proc/self/ns/net"))?.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), other.to_string());
    assert_eq!(own_link(), before);
    Ok(())
}

#[netns_test]
fn get_from_path() -> Result {
    assert_eq!(NetNs::from_path("/proc/thread-self/ns/net")?, NetNs::current()?);
    stdout_of("ip", &["netns", "add", "blue"]);
    assert_ne!(NetNs::from_path("/run/netns/blue")?, NetNs::current()?);
    let refused = NetNs::from_path("/proc/self/ns/mnt").unwrap_err().to_string();
    assert!(refused.contains("it is a mnt namespace, not a network namespace"), "{refused}");
    Ok(())
}

#[netns_test]
fn get_from_name() -> Result {
    stdout_of("ip", &["netns", "add", "blue"]);
    let inside = stdout_of("ip", &["netns", "exec", "blue", "readlink", "/proc/self/ns/net"]);
    assert_eq!(NetNs::from_name("blue")?.to_string(), inside.trim());
    assert_eq!(NamedNetNs::open("blue")?.to_string(), inside.trim());
    Ok(())
}

/// That a pidfd of a process that has ended is refused is tested in handles.rs.
#[netns_test]
fn get_from_pid() -> Result {
    let other = NetNs::new()?;
    let mut command = Command::new("cat");
    let mut child = other.set_for(command.stdin(Stdio::piped()))?.spawn().unwrap();
    assert_eq!(NetNs::from_pid(child.id()).unwrap(), other);
    // SAFETY: takes two numbers.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    assert!(raw >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new, and has no other owner.
    let pidfd: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(raw.try_into().unwrap()) };
    assert_eq!(NetNs::from_pidfd(&pidfd).unwrap(), other);
    child.kill().unwrap();
    child.wait().unwrap();
    Ok(())
}

#[netns_test]
fn get_from_thread() -> Result {
    let (own, other) = (NetNs::current()?, NetNs::new()?);
    let (sender, message) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = other.spawn(move || {
        sender.send(own_thread()).unwrap();
        ended.recv().unwrap_err();
    })?;
    let pid = std::process::id();
    assert_eq!(NetNs::from_thread(pid, message.recv().unwrap())?, other);
    assert_eq!(NetNs::from_thread(pid, own_thread())?, own);
    assert_eq!(NetNs::from_pid(pid)?, own);
    drop(end);
    thread.join().unwrap();
    Ok(())
}

/// More of it in containers.rs.
#[test]
fn get_from_docker() -> Result {
    let unknown = NetNs::from_container("0123456789ab").unwrap_err().to_string();
    assert!(unknown.contains("no process is in a control group of it"), "{unknown}");
    containers::each("get_from_docker", 1, |containers| {
        let container = &containers[0];
        assert_eq!(NetNs::from_container(&container.id)?, container.netns());
        assert_eq!(NetNs::from_container(&container.id[..12])?, container.netns());
        Ok(())
    })
}

/// The type is as small, and as easily compared, as Go's with -1 for none.
#[netns_test]
fn none() -> Result {
    let mut held: Option<NetNs> = None;
    assert_ne!(held, Some(NetNs::current()?));
    held.replace(NetNs::current()?);
    assert_eq!(held, Some(NetNs::current()?));
    assert_eq!(held.take().map(|own| own.to_string()), Some(own_link()));
    assert_eq!(held, None);
    Ok(())
}

/// However a handle was come by, it is open, and close-on-exec.
#[netns_test]
fn is_open() -> Result {
    let named = NamedNetNs::create("blue")?;
    for handle in [
        NetNs::current()?,
        NetNs::new()?,
        NamedNetNs::open("blue")?,
        named.netns().try_clone()?,
        NetNs::try_from(OwnedFd::from(NetNs::new()?))?,
    ] {
        let number = handle.as_fd().as_raw_fd();
        let data = fs::metadata(format!("/proc/self/fd/{number}")).unwrap();
        assert_eq!((data.dev(), data.ino()), (handle.id().device, handle.id().inode));
        // SAFETY: asks for a flag.
        assert_eq!(unsafe { libc::fcntl(number, libc::F_GETFD) }, libc::FD_CLOEXEC);
    }
    Ok(())
}

/// The last handle closed, the kernel takes the namespace down, and a cable into it with it.
#[netns_test]
fn close() -> Result {
    let other = NetNs::new()?;
    let name = other.to_string();
    assert_eq!(descriptors_on(&name), 1);
    stdout_of("ip", &["link", "add", "here", "type", "veth", "peer", "name", "there"]);
    let mut command = Command::new("cat");
    let mut child = other.set_for(command.stdin(Stdio::piped()))?.spawn().unwrap();
    stdout_of("ip", &["link", "set", "there", "netns", &child.id().to_string()]);
    child.kill().unwrap();
    child.wait().unwrap();
    let is_there = || fs::read_to_string("/proc/thread-self/net/dev").unwrap().contains("here:");
    assert!(is_there(), "a handle holds it");
    // It holds the namespace for further starts.
    drop(command);
    drop(other);
    assert_eq!(descriptors_on(&name), 0);
    eventually(LIMIT, "the kernel has removed the pair", || !is_there());
    Ok(())
}

#[netns_test]
fn equal() -> Result {
    let (own, other) = (NetNs::current()?, NetNs::new()?);
    assert_ne!(own, other);
    assert_eq!(own, NetNs::current()?);
    assert_eq!(other, other.try_clone()?);
    Ok(())
}

#[netns_test]
fn string() -> Result {
    let other = NetNs::new()?;
    let mut command = Command::new("readlink");
    let output = other.set_for(command.arg("/proc/self/ns/net"))?.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{other}"));
    let listed = stdout_of("lsns", &["-t", "net", "-n", "-o", "NS"]);
    let own = format!("{}", NetNs::current()?);
    assert!(listed.lines().any(|line| own == format!("net:[{}]", line.trim())), "{listed}");
    Ok(())
}

#[netns_test]
fn unique_id() -> Result {
    let own = NetNs::current()?;
    let data = fs::metadata("/proc/thread-self/ns/net").unwrap();
    assert_eq!((own.id().device, own.id().inode), (data.dev(), data.ino()));
    assert_eq!(NetNs::current()?.cookie()?, own.cookie()?);
    let mut cookies = std::collections::BTreeSet::from([own.cookie()?]);
    for _ in 0..20 {
        // Each is gone before the next one is made.
        assert!(cookies.insert(NetNs::new()?.cookie()?), "{cookies:?}");
    }
    Ok(())
}

#[netns_test]
fn list() -> Result {
    let (own, named) = (NetNs::current()?, NamedNetNs::create("blue")?);
    let listed = NetNs::list()?;
    let holders = |of: &NetNs| &listed.iter().find(|one| one.id == of.id()).unwrap().holders;
    let is_own = |holder: &Holder| matches!(holder, Holder::Process { pid, .. } if *pid == std::process::id());
    assert!(holders(&own).iter().any(is_own), "{listed:?}");
    assert_eq!(holders(named.netns())[..], [Holder::Mount(named.path().to_owned())]);
    Ok(())
}

/// No row without a test of its name that calls each function of the row, and no test without
/// its row.
#[test]
fn every_row_has_its_test() {
    let rows = rows(include_str!("../../../docs/NETNS.md"));
    assert!(rows.len() > 15, "{rows:?}");
    let own = std::env::current_exe().unwrap();
    let listed = stdout_of(own.to_str().unwrap(), &["--list"]);
    let ignored = stdout_of(own.to_str().unwrap(), &["--list", "--ignored"]);
    let mut wrong = Vec::new();
    for row in &rows {
        let line = format!("parity::{}: test", row.name);
        if !listed.lines().any(|test| test == line) || ignored.contains(&line) {
            wrong.push(format!("no test parity::{}", row.name));
            continue;
        }
        let body = function(include_str!("parity.rs"), &row.name);
        let missing = row.calls.iter().filter(|call| !body.contains(call.as_str()));
        wrong.extend(missing.map(|call| format!("parity::{} does not call {call}", row.name)));
    }
    for line in listed.lines().filter_map(|line| line.strip_prefix("parity::")) {
        let name = line.trim_end_matches(": test");
        let is_of_a_row = rows.iter().any(|row| row.name == name);
        let is_of_this = ["every_row_has_its_test", "rows_are_read"].contains(&name);
        if !is_of_a_row && !is_of_this {
            wrong.push(format!("parity::{name} has no row"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    /// The name of its test.
    name: String,
    /// Our functions in it, as `current(`.
    calls: Vec<String>,
}

fn rows(document: &str) -> Vec<Row> {
    let (_, after) = document.split_once("| `github.com/vishvananda/netns` |").unwrap();
    let lines = after.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('|').collect();
            let calls: Vec<_> =
                codes(columns[2]).filter_map(|code| Some(format!("{}(", called(code)?))).collect();
            let first = codes(columns[1]).chain(codes(columns[2])).find_map(called);
            let name = first.unwrap_or_else(|| panic!("a row without a function: {line}"));
            Row { name: snake_case(name), calls }
        })
        .collect()
}

/// Returns the texts between backticks.
fn codes(column: &str) -> impl Iterator<Item = &str> {
    column.split('`').skip(1).step_by(2)
}

/// `from_pid` of `NetNs::from_pid(pid)`; nothing of what is no call.
fn called(code: &str) -> Option<&str> {
    let (path, _) = code.split_once('(')?;
    path.rsplit(['.', ':']).next()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// The text of the function `name`, to the brace that closes it.
fn function<'s>(source: &'s str, name: &str) -> &'s str {
    let (_, after) = source.split_once(&format!("\nfn {name}()")).unwrap();
    after.split("\n}\n").next().unwrap()
}

#[test]
fn rows_are_read() {
    let text = "a\n\n| `github.com/vishvananda/netns` | here | why |\n| --- | --- | --- |\n\
                | `GetFromPid(pid)` | `NetNs::from_pid(pid)`, `NetNs::from_pidfd(fd)` | |\n\
                | | `ns.spawn(…)`, `==` | `x()` |\n\n| `Other()` | | |\n";
    let row = |name: &str, calls: &[&str]| Row {
        name: name.to_owned(),
        calls: calls.iter().map(|&call| call.to_owned()).collect(),
    };
    let expected = [row("get_from_pid", &["from_pid(", "from_pidfd("]), row("spawn", &["spawn("])];
    assert_eq!(rows(text), expected);
    assert_eq!(function("\nfn a() {\n}\nfn b() {\n    c\n}\n", "b"), " {\n    c");
}
