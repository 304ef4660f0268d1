//! What must not be lost, and what must not be touched: panics that come late, forks, locked
//! stdout, several labs that have the test as a host.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::{again, passes, stdout_of};

use super::{must_fail, two_hosts};

#[test]
fn a_panic_after_the_lab_fails_the_test() {
    let message = must_fail("caller_process::panics_after_its_lab");
    assert!(
        message.contains("node client: a thread has panicked: too late, after its lab has ended"),
        "{message}"
    );
    assert!(message.contains("SIGABRT"), "{message}");
}

#[netns_test]
#[ignore = "run by a_panic_after_the_lab_fails_the_test"]
fn panics_after_its_lab() {
    let (lab, client, _) = two_hosts();
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let thread = lab[client].spawn_thread(move || {
        goes.recv().unwrap();
        panic!("too late");
    });
    drop(lab);
    go.send(()).unwrap();
    drop(thread.join());
}

#[test]
fn a_panic_of_a_lab_that_is_never_dropped_fails_the_test() {
    let message = must_fail("caller_process::panics_in_a_lab_that_is_never_dropped");
    assert!(
        message.contains("a thread or task has panicked on a node of a lab that was not dropped"),
        "{message}"
    );
}

#[netns_test]
#[ignore = "run by a_panic_of_a_lab_that_is_never_dropped_fails_the_test"]
fn panics_in_a_lab_that_is_never_dropped() {
    let (lab, client, _) = two_hosts();
    assert!(lab[client].spawn_thread(|| panic!("unseen")).join().is_err());
    std::mem::forget(lab);
}

/// A child that returns from the body has copies of all that the lab holds.
#[netns_test]
fn a_fork_leaves_the_lab_alone() {
    let mut net = Topology::new();
    let (own, server) = (net.local(), net.host("server"));
    net.link(own, server);
    let lab = net.build().unwrap();
    let child = lab[server].command("sleep").arg("1000").spawn().unwrap();
    let listener = lab[server].run(|| TcpListener::bind("[::]:80")).unwrap();
    // SAFETY: the child drops what it has, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        drop((lab, child));
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for the child, and writes one number.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "it has ended by itself, without a panic");
    assert_eq!(child.try_wait().unwrap(), None);
    TcpStream::connect("server:80").unwrap();
    listener.accept().unwrap();
    assert!(stdout_of("ip", &["-br", "address"]).contains("10.0.0.1/24"));
}

/// Whoever has locked stdout waits for programs that write there.
#[netns_test(timeout = "20s")]
fn a_locked_stdout_blocks_no_program() {
    let (lab, client, _) = two_hosts();
    let mut stdout = std::io::stdout().lock();
    let child = lab[client].command("sh").args(["-c", "echo one; echo two"]).spawn().unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "two").unwrap();
    assert!(child.wait(Duration::from_secs(5)).exit().unwrap().success());
    writeln!(stdout, "own").unwrap();
    drop(lab);
}

/// The last one that is there says who is who.
#[netns_test]
fn labs_that_share_the_test_do_not_take_each_others_names() {
    let build = |name: &str, pool: &str| -> (Lab, String) {
        let mut net = Topology::new();
        let (own, other) = (net.local(), net.host(name));
        net.link(own, other).interfaces(name, "eth0").subnet(pool).ipv4_only();
        (net.build().unwrap(), name.to_owned())
    };
    let is_known = |name: &str| std::fs::read_to_string("/etc/hosts").unwrap().contains(name);
    let before = std::fs::read_to_string("/etc/hosts").unwrap();
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = mounts();
    let (one, first) = build("first", "10.1.0.0/24");
    assert!(is_known(&first));
    let (two, second) = build("second", "10.2.0.0/24");
    assert!(is_known(&second));
    drop(one);
    assert!(is_known(&second) && !is_known(&first));
    let (three, third) = build("third", "10.3.0.0/24");
    // From a thread that is elsewhere.
    let three = std::sync::Mutex::new(Some(three));
    two.node(&second).unwrap().run(|| drop(three.lock().unwrap().take()));
    assert!(is_known(&second) && !is_known(&third));
    drop(two);
    assert_eq!(std::fs::read_to_string("/etc/hosts").unwrap(), before);
    assert_eq!(mounts(), mounted);
}

/// The test's own host is where the test is, from wherever one goes there.
#[netns_test]
fn the_test_itself_is_reached_from_a_host() {
    let mut net = Topology::new();
    let (own, server) = (net.local(), net.host("server"));
    net.link(own, server);
    let lab = net.build().unwrap();
    let place = || {
        let link = |kind: &str| std::fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        ["net", "mnt", "uts"].map(link)
    };
    let here = place();
    assert_eq!(lab[server].run(|| lab[own].run(place)), here);
    assert_eq!(lab[server].run(|| lab[own].block_on(async { place() })), here);
    assert_ne!(lab[server].run(place), here);
}

/// The first error of all: without any right.
#[test]
fn a_caller_without_capabilities_gets_advice() {
    let name = "caller_process::without_rights";
    let around = ["unshare", "--user"];
    passes(&mut again(&around, &["--exact", name]), 1);
}

#[test]
#[ignore = "run by a_caller_without_capabilities_gets_advice"]
fn without_rights() {
    let mut net = Topology::new();
    net.host("alone");
    let error = net.build().unwrap_err().to_string();
    assert!(error.starts_with("unshare the mounts of a lab: EPERM"), "{error}");
    assert!(error.contains("in the body of a #[netns_test], under `unshare -Urnm`"), "{error}");
}

/// Programs that a lab has started print without a wait for them.
#[test]
fn output_that_comes_at_the_end_is_printed() {
    let mut run = again(&[], &["--exact", "caller_process::prints_at_the_end", "--nocapture"]);
    let mut child = run.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let marked: Vec<_> = lines.filter(|line| line.starts_with("client| ")).collect();
    assert_eq!(marked, (0..1000).map(|number| format!("client| {number}")).collect::<Vec<_>>());
    assert!(child.wait().unwrap().success());
}

#[netns_test]
#[ignore = "run by output_that_comes_at_the_end_is_printed"]
fn prints_at_the_end() {
    let (lab, client, _) = two_hosts();
    let child = lab[client].command("seq").args(["0", "999"]).spawn().unwrap();
    assert!(child.wait(WAIT_LIMIT).exit().unwrap().success());
}
