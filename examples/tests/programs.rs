//! The programs of `examples/`, run as a person runs them and compared with what `ip` says. Here
//! they need no root: each test has a network and a `/run/netns` of its own.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use netns_test::netns_test;

#[netns_test]
fn a_namespace_from_scratch() {
    let shown = stdout(program("netns_from_scratch"));
    let lines: Vec<(&str, &str)> =
        shown.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    let [before, pinned, inside, after, second, unpinned] = lines[..] else { panic!("{shown}") };
    let own = stdout_of("readlink", "/proc/self/ns/net");
    assert_eq!(before, ("before", own.trim()));
    assert_eq!(after, ("after", own.trim()));
    assert_ne!(inside.1, own.trim());
    assert_eq!((inside.0, second), ("inside", ("second process", inside.1)));
    let (namespace, path) = pinned.1.split_once(" at ").expect("a path");
    assert_eq!((pinned.0, namespace), ("pinned", inside.1));
    let name = path.strip_prefix("/run/netns/").expect("where `ip` looks for names");
    assert!(name.parse::<u32>().is_ok(), "{name} is no process id");
    assert_eq!(unpinned, ("unpinned", format!("{path} is gone").as_str()));
    assert!(!Path::new(path).exists());
    assert_eq!(stdout_of("ip", "netns list"), "");
}

#[netns_test]
fn interfaces_here_and_there() {
    stdout_of("ip", "link add here type bridge");
    let shown = stdout(program("interfaces"));
    let own = stdout_of("readlink", "/proc/self/ns/net");
    let own = format!("{} with lo, here", own.trim());
    let lines: Vec<&str> = shown.lines().collect();
    let [current, new, back, equal, other] = lines[..] else { panic!("{shown}") };
    assert_eq!(current, format!("current: {own}"));
    assert!(new.starts_with("new: net:[") && new.ends_with("] with lo"), "{new}");
    assert_eq!(back, format!("back: {own}"));
    assert_eq!([equal, other], ["back == current: true", "new == current: false"]);
}

/// A namespace of `ip`, with the end of a cable in it: the command sees that, and nothing else.
#[netns_test]
fn setns_enters_what_ip_has_made() {
    stdout_of("ip", "netns add ns1");
    stdout_of("ip", "link add veth0 type veth peer name veth1");
    stdout_of("ip", "link set veth1 netns ns1");
    let links = stdout(setns("ns1 ip -brief link"));
    let names: Vec<&str> = links.lines().filter_map(|line| line.split([' ', '@']).next()).collect();
    assert_eq!(names, ["lo", "veth1"]);
    assert!(!stdout_of("ip", "link").contains("veth1:"));
    // What is done by it, `ip` sees, and the other end of the cable.
    stdout(setns("ns1 ip address add 10.0.0.2/24 dev veth1"));
    stdout(setns("ns1 ip link set veth1 up"));
    assert!(stdout_of("ip", "-n ns1 -brief address").contains("10.0.0.2/24"));
    stdout_of("ip", "address add 10.0.0.1/24 dev veth0");
    stdout_of("ip", "link set veth0 up");
    let refused = std::net::TcpStream::connect("10.0.0.2:80").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(
        stdout(setns("ns1 readlink /proc/self/ns/net")),
        stdout_of("ip", "netns exec ns1 readlink /proc/self/ns/net")
    );
}

/// And the other way round.
#[netns_test]
fn ip_handles_what_setns_has_made() {
    let inside = stdout(setns("ns2 readlink /proc/self/ns/net"));
    assert_ne!(inside, stdout_of("readlink", "/proc/self/ns/net"));
    assert!(stdout_of("ip", "netns list").starts_with("ns2"));
    assert_eq!(stdout_of("ip", "netns exec ns2 readlink /proc/self/ns/net"), inside);
    stdout_of("ip", "link add veth0 type veth peer name veth1 netns ns2");
    assert!(stdout(setns("ns2 ip link")).contains("veth1@"));
    // The command's process is the program's own.
    let mut child = setns("ns2 cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    is_in("cat", &mut child);
    assert_eq!(stdout_of("ip", "netns pids ns2").trim(), pid);
    assert_eq!(stdout_of("ip", &format!("netns identify {pid}")).trim(), "ns2");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    stdout_of("ip", "netns delete ns2");
    assert_eq!(stdout_of("ip", "netns list"), "");
}

#[netns_test]
fn setns_ends_as_its_command_does() {
    let status = |arguments: &[&str]| {
        let output = program("setns").args(arguments).output().unwrap();
        (output.status.code(), output.status.signal(), text(&output))
    };
    assert_eq!(status(&["ns1", "sh", "-c", "exit 7"]), (Some(7), None, String::new()));
    assert_eq!(status(&["ns1", "sh", "-c", "kill -9 $$"]), (None, Some(9), String::new()));
    assert_eq!(status(&["ns1", "echo", "a  b"]), (Some(0), None, "a  b\n".to_owned()));
    let (code, _, message) = status(&["ns1", "/no-such-command"]);
    assert_eq!(code, Some(127));
    assert!(message.starts_with("setns: /no-such-command: No such file"), "{message}");
    let (code, _, message) = status(&["ns1", "/proc/version"]);
    assert_eq!(code, Some(126));
    assert!(message.starts_with("setns: /proc/version: Permission denied"), "{message}");
    let (code, _, message) = status(&["../ns1", "true"]);
    assert_eq!(code, Some(125));
    assert!(message.starts_with("setns: use the name \"../ns1\": "), "{message}");
    let (code, _, message) = status(&["ns1"]);
    assert_eq!((code, message.as_str()), (Some(125), "usage: setns NAME COMMAND...\n"));
    // One namespace, made by the first and entered by the others.
    assert_eq!(stdout_of("ip", "netns list").trim(), "ns1");
}

/// Twenty of them make the namespace at the same time: it is one.
#[netns_test]
fn setns_meets_another_one() {
    let start = || setns("ns1 readlink /proc/self/ns/net").stdout(Stdio::piped()).spawn().unwrap();
    let started: Vec<_> = (0..20).map(|_| start()).collect();
    let shown: Vec<_> =
        started.into_iter().map(|child| text(&child.wait_with_output().unwrap())).collect();
    let inside = stdout_of("ip", "netns exec ns1 readlink /proc/self/ns/net");
    assert_eq!(shown, vec![inside; 20]);
}

/// A plain test: no rights are needed, and nothing is left of it.
#[test]
fn a_container() {
    let rootfs = rootfs(&["sh", "cat", "ls", "readlink"]);
    let before = (mounts(), tree(&rootfs));
    let run = |script: &str| {
        let mut command = program("container");
        command.arg(&rootfs).args(["/bin/sh", "-c", script]).output().unwrap()
    };
    let script = "read -r name < /proc/sys/kernel/hostname; echo $name $$; cd /proc; echo [0-9]*
        echo /sys/class/net/* && ls / && for kind in uts ipc pid mnt user net; do
        readlink /proc/self/ns/$kind; done; while read -r id; do echo $id; done < /proc/self/uid_map";
    let output = run(script);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    let mut lines = shown.lines();
    let mut next = || lines.next().unwrap_or_default();
    assert_eq!([next(), next(), next()], ["container 2", "1 2", "/sys/class/net/lo"]);
    let mut names: Vec<_> =
        fs::read_dir(&rootfs).unwrap().flatten().map(|e| e.file_name()).collect();
    names.sort();
    for name in names {
        assert_eq!(Some(next()), name.to_str(), "{shown}");
    }
    for kind in ["uts", "ipc", "pid", "mnt", "user", "net"] {
        let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(next(), own.to_str().unwrap(), "{shown}");
    }
    assert!(next().starts_with("0 "), "{shown}");
    assert_eq!(run("exit 7").status.code(), Some(7));
    assert_eq!(run("kill -9 $$").status.code(), Some(137));
    // A process that it leaves would hold its stdout.
    assert_eq!(text(&run("while :; do :; done & echo x")), "x\n");
    assert_eq!((mounts(), tree(&rootfs)), before);
    let no_root = program("container").args(["/nowhere", "sh"]).output().unwrap();
    assert_eq!(no_root.status.code(), Some(1));
    let message = text(&no_root);
    assert!(message.starts_with("container: take as root /nowhere: ENOENT"), "{message}");
    fs::remove_dir_all(rootfs).unwrap();
}

/// A directory with these programs and the libraries that they name, all of this machine.
fn rootfs(programs: &[&str]) -> PathBuf {
    // Another user may have left one of this name.
    let place = |number| env::temp_dir().join(format!("netns-test-container-{number}"));
    let mut places = (std::process::id()..).take(100).map(place);
    let root = places.find(|root| fs::create_dir(root).is_ok()).expect("a new directory");
    for directory in ["bin", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for program in programs {
        let paths = ["/bin", "/usr/bin"].map(|place| Path::new(place).join(program));
        let path = paths.iter().find(|path| path.exists()).expect("a program of the machine");
        fs::copy(path, root.join("bin").join(program)).unwrap();
        let libraries = stdout_of("ldd", path.to_str().unwrap());
        let words = libraries.split_whitespace().filter_map(|word| word.strip_prefix('/'));
        for library in words.map(Path::new) {
            fs::create_dir_all(root.join(library.parent().unwrap())).unwrap();
            fs::copy(Path::new("/").join(library), root.join(library)).unwrap();
        }
    }
    root
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn tree(root: &Path) -> String {
    stdout_of("find", root.to_str().unwrap())
}

/// A program of `examples/`, which cargo builds into a directory beside that of the tests.
fn program(name: &str) -> Command {
    let own = env::current_exe().expect("the path of this test");
    let directory = own.ancestors().nth(2).expect("a directory beside").join("examples");
    let path = directory.join(name);
    let hint = "`cargo build -p netns-test-examples --examples` builds it";
    assert!(path.exists(), "there is no {}: {hint}", path.display());
    Command::new(path)
}

fn setns(arguments: &str) -> Command {
    let mut command = program("setns");
    command.args(arguments.split(' '));
    command
}

/// Waits until the process has become `cat`, by its output.
fn is_in(name: &str, child: &mut std::process::Child) {
    use std::io::{Read as _, Write as _};
    child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let comm = fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap();
    assert_eq!(comm.trim(), name);
}

fn stdout(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn stdout_of(name: &str, arguments: &str) -> String {
    let mut command = Command::new(name);
    command.args(arguments.split(' '));
    stdout(command)
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}
