//! Nodes whose programs are stopped, ended in an orderly way, or killed by name.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use netns_test::{Lab, NodeId, netns_test};
use netns_test_tests::Said as _;

use crate::net::PATIENCE;
use crate::{must_fail, two_hosts};

/// Prints a line after each line that it gets.
const ECHO: &str = "echo ready; while read line; do echo \"got $line\"; done";

/// Asserts that an error says all of this.
fn says(error: &netns_test::Error, parts: &[&str]) {
    let said = error.said();
    parts.iter().for_each(|part| assert!(said.contains(part), "{part}: {said}"));
}

/// Returns the letter of a process's state (`proc_pid_stat(5)`).
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// Returns whether a process has ended; process 1 may not have reaped it yet.
fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

fn shell(lab: &Lab, node: NodeId, script: &str) -> netns_test::NodeChild {
    let mut command = lab[node].command("sh");
    command.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap()
}

/// Returns the number in the line that begins with `before`.
fn number(child: &netns_test::NodeChild, before: &str) -> u32 {
    child.wait(PATIENCE).line(|line| line.starts_with(before)).unwrap();
    child.lines().iter().find_map(|line| line.strip_prefix(before)?.parse().ok()).unwrap()
}

#[netns_test]
fn a_frozen_program_does_nothing_until_the_thaw() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let mut echo = shell(&lab, server, ECHO);
    echo.wait(PATIENCE).line(|line| line.contains("ready"))?;
    lab[server].freeze()?;
    assert!(lab[server].is_frozen() && !lab[client].is_frozen());
    assert_eq!(state(echo.id()), 'T');
    echo.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    let error =
        echo.wait(Duration::from_millis(100)).line(|line| line.contains("got one")).unwrap_err();
    says(&error, &["it is stopped, as the programs of a frozen node are"]);
    lab[server].thaw()?;
    assert!(!lab[server].is_frozen());
    echo.wait(PATIENCE).line(|line| line.contains("got one"))?;
    // Again.
    lab[server].freeze()?;
    lab[server].thaw()?;
    echo.stdin.as_mut().unwrap().write_all(b"two\n").unwrap();
    echo.wait(PATIENCE).line(|line| line.contains("got two"))?;
    Ok(())
}

#[netns_test]
fn timers_have_passed_after_the_thaw() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let script = "sleep 0.2 & echo \"sleep $!\"; wait; echo over";
    let waiting = shell(&lab, server, script);
    let sleep = number(&waiting, "sleep ");
    lab[server].freeze()?;
    // A process that has started another one, and that one.
    assert_eq!([state(waiting.id()), state(sleep)], ['T', 'T']);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!([state(waiting.id()), state(sleep)], ['T', 'T']);
    lab[server].thaw()?;
    waiting.wait(PATIENCE).line(|line| line.contains("over"))?;
    Ok(())
}

#[netns_test]
fn processes_without_a_parent_are_frozen_too() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let starter = shell(&lab, server, "setsid sleep 1000 & echo \"daemon $!\"");
    let daemon = number(&starter, "daemon ");
    assert!(starter.wait_with_output().is_ok());
    lab[server].freeze()?;
    assert_eq!(state(daemon), 'T');
    lab[server].thaw()?;
    assert_ne!(state(daemon), 'T');
    Ok(())
}

#[netns_test]
fn a_program_that_forks_all_the_time_is_frozen() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let forking = shell(&lab, server, "echo ready; while :; do (:); (: | :); done");
    forking.wait(PATIENCE).line(|line| line.contains("ready"))?;
    for _ in 0..20 {
        lab[server].freeze()?;
        assert_eq!(state(forking.id()), 'T');
        lab[server].thaw()?;
    }
    Ok(())
}

#[netns_test]
fn the_kernel_of_a_frozen_node_answers() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let program = shell(&lab, server, ECHO);
    program.wait(PATIENCE).line(|line| line.contains("ready"))?;
    lab[server].freeze()?;
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let to = SocketAddr::new(lab.plan().address_of(server).unwrap(), 80);
    lab[client].run(move || TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
    drop(listener);
    Ok(())
}

#[netns_test]
fn freezing_at_the_wrong_time_is_an_error() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    says(&lab[server].thaw().unwrap_err(), &["thaw", "server", "it is not frozen"]);
    lab[server].freeze()?;
    says(&lab[server].freeze().unwrap_err(), &["freeze", "server", "frozen already", "`thaw`"]);
    let mut command = lab[server].command("true");
    says(&command.spawn().unwrap_err(), &["true on server", "frozen", "`thaw`"]);
    let error = lab[server].shut_down(PATIENCE).unwrap_err();
    says(&error, &["shut down", "server", "frozen", "`thaw`"]);
    lab.power_off(server)?;
    assert!(!lab[server].is_frozen());
    for error in [lab[server].freeze(), lab[server].thaw()].map(Result::unwrap_err) {
        says(&error, &["powered off"]);
    }
    lab.power_on(server)?;
    assert!(lab[server].command("true").status()?.success());
    Ok(())
}

#[netns_test]
fn the_end_of_a_frozen_lab_kills_its_programs() {
    let (lab, _, server) = two_hosts();
    let program = shell(&lab, server, "sleep 1000 & echo \"sleep $!\"; wait");
    let sleep = number(&program, "sleep ");
    lab[server].freeze().unwrap();
    drop(program);
    drop(lab);
    assert!(has_ended(sleep));
}

#[netns_test(timeout = "2s")]
#[ignore = "run by the_time_limit_ends_a_frozen_lab"]
fn waits_on_a_frozen_node() {
    let (lab, _, server) = two_hosts();
    let program = shell(&lab, server, ECHO);
    program.wait(PATIENCE).line(|line| line.contains("ready")).unwrap();
    lab[server].freeze().unwrap();
    drop(program.wait_with_output());
}

#[test]
fn the_time_limit_ends_a_frozen_lab() {
    let report = must_fail("life::waits_on_a_frozen_node");
    assert!(report.contains("power") && report.contains("frozen"), "{report}");
}

#[netns_test]
fn a_shut_down_lets_programs_end_and_the_network_work() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let script = "trap 'echo last words; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let program = shell(&lab, server, script);
    program.wait(PATIENCE).line(|line| line.contains("ready"))?;
    assert_eq!(lab[server].shut_down(PATIENCE)?, Vec::<String>::new());
    assert!(!lab[server].is_on());
    program.wait(PATIENCE).line(|line| line.contains("last words"))?;
    assert!(program.try_wait()?.unwrap().success());
    lab.power_on(server)?;
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    let to = SocketAddr::new(lab.plan().address_of(server).unwrap(), 80);
    let mut stream = lab[client].run(move || TcpStream::connect_timeout(&to, PATIENCE)).unwrap();
    drop(listener.accept().unwrap());
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    Ok(())
}

#[netns_test]
fn a_shut_down_kills_what_ignores_it() -> netns_test::Result<()> {
    let (lab, _, server) = two_hosts();
    let script = "trap '' TERM; sleep 1000 & echo \"sleep $!\"; while :; do sleep 0.01; done";
    let program = shell(&lab, server, script);
    let sleep = number(&program, "sleep ");
    let daemon = shell(&lab, server, "setsid sleep 2000 & echo \"daemon $!\"");
    let orphan = number(&daemon, "daemon ");
    daemon.wait_with_output()?;
    let killed = lab[server].shut_down(Duration::from_millis(300))?;
    assert!(killed.contains(&format!("sh (process {})", program.id())), "{killed:?}");
    assert!(killed.contains(&format!("sleep (process {sleep})")), "{killed:?}");
    assert!(!killed.contains(&format!("sleep (process {orphan})")), "{killed:?}");
    for pid in [sleep, orphan] {
        assert!(has_ended(pid));
    }
    says(&lab[server].shut_down(PATIENCE).unwrap_err(), &["powered off"]);
    Ok(())
}

#[netns_test]
fn one_program_is_killed_by_its_name_and_started_again() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let mut command = lab[server].command("/bin/sleep");
    command.arg("1000");
    let (first, other) = (command.spawn()?, lab[client].command("sleep").arg("1000").spawn()?);
    let shell = shell(&lab, server, ECHO);
    lab[server].kill("sleep")?;
    assert!(first.try_wait()?.is_some());
    assert!(other.try_wait()?.is_none() && shell.try_wait()?.is_none());
    says(&lab[server].kill("sleep").unwrap_err(), &["kill `sleep` on server", "no program"]);
    let second = command.spawn()?;
    let error = lab[server].kill("slep").unwrap_err();
    says(&error, &["`slep` on server", "did you mean `sleep`?", "sleep, sh"]);
    lab[server].kill("/bin/sleep")?;
    assert!(second.try_wait()?.is_some());
    says(&lab[server].kill("nginx").unwrap_err(), &["programs that run: sh"]);
    lab.power_off(server)?;
    says(&lab[server].kill("sh").unwrap_err(), &["no program of the lab runs on it"]);
    Ok(())
}
