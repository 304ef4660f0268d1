//! Programs on hosts: they behave as those of the standard library, are where they are said to be,
//! and what they write is printed.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use netns_test::lab::NodeCommand;
use netns_test::lab::WAIT_LIMIT;
use netns_test::netns_test;
use netns_test_tests::{Said as _, again, passes, scratch, text};

use super::{must_fail, two_hosts};

#[netns_test]
fn a_program_is_on_its_host() {
    let (lab, client, server) = two_hosts();
    let own = lab[server].command("hostname").output().unwrap();
    assert_eq!((own.stdout.as_slice(), own.status.code()), (&b"server\n"[..], Some(0)));
    let listener = lab[server].run(|| TcpListener::bind("0.0.0.0:80")).unwrap();
    // Bash speaks TCP, and finds the server by its name.
    let script = "exec 3<>/dev/tcp/server/80; echo hello >&3; cat <&3";
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut connection, _) = listener.accept().unwrap();
            let mut line = [0; 6];
            connection.read_exact(&mut line).unwrap();
            connection.write_all(&line).unwrap();
        });
        lab[client].command("bash").args(["-c", script]).output().unwrap()
    });
    assert_eq!(text(&answer), "hello\n");
}

#[netns_test]
fn what_is_set_reaches_the_program() {
    let (lab, client, _) = two_hosts();
    let directory = scratch("lab-commands");
    let mut command = lab[client].command("sh");
    command.args(["-c", "echo $ONE-$TWO-$HOME; pwd; cat; echo error >&2; exit 3"]);
    command.env("ONE", "1").envs([("TWO", "2")]).env("HOME", "x").env_remove("HOME");
    assert_eq!(command.get_program(), "sh");
    let output = command.current_dir(&directory).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let expected = format!("1-2-\n{}\n", directory.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(output.stderr, b"error\n");

    // As often as one likes, and from wherever the caller is then.
    std::env::set_current_dir(&directory).unwrap();
    let mut pwd = lab[client].command("/bin/sh");
    pwd.args(["-c", "pwd; env"]).env_clear();
    for place in [directory.as_path(), std::path::Path::new("/")] {
        std::env::set_current_dir(place).unwrap();
        let output = text(&pwd.output().unwrap());
        assert_eq!(output.lines().next(), place.to_str(), "{output}");
        assert!(!output.contains("PATH="), "{output}");
    }
    std::env::set_current_dir(&directory).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(text(&pwd.output().unwrap()).lines().next(), Some("/"));
}

#[netns_test]
fn streams_can_be_the_callers() {
    let (lab, client, _) = two_hosts();
    let mut command = lab[client].command("sh");
    command.args(["-c", "read line; echo got $line; echo ready >&2"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert!(child.stderr.is_none());
    child.stdin.as_mut().unwrap().write_all(b"it\n").unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "ready").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"got it\n"[..], &[][..]));

    let status = lab[client].command("sh").args(["-c", "kill -9 $$"]).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

#[netns_test]
fn the_lines_of_a_program_can_be_waited_for() {
    let (lab, _, server) = two_hosts();
    let script = "echo starting; echo ready >&2; read line; printf 'last \\377 words'";
    let mut command = lab[server].command("sh");
    let mut child = command.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "ready").unwrap();
    // Also one that came before.
    child.wait(WAIT_LIMIT).line(|line| line.starts_with("start")).unwrap();
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    assert!(child.wait(WAIT_LIMIT).exit().unwrap().success());
    assert!(child.lines().contains(&"last \u{fffd} words".to_owned()), "{:?}", child.lines());
}

#[netns_test]
fn programs_get_signals() {
    let (lab, _, server) = two_hosts();
    let script = "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo ready;
        while :; do sleep 0.01; done";
    let child = lab[server].command("sh").args(["-c", script]).spawn().unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "ready").unwrap();
    child.signal(libc::SIGUSR1).unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "usr1").unwrap();
    assert_eq!(child.signal(1000).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    child.terminate().unwrap();
    assert_eq!(child.wait(WAIT_LIMIT).exit().unwrap().code(), Some(9));
    assert_eq!(child.lines(), ["ready", "usr1", "term"]);
    // As for the standard library's, it does not matter that it has ended.
    child.terminate().and_then(|()| child.kill()).unwrap();
    let child = lab[server].command("sleep").arg("1000").spawn().unwrap();
    child.kill().unwrap();
    assert_eq!(child.wait(WAIT_LIMIT).exit().unwrap().signal(), Some(libc::SIGKILL));
}

#[netns_test]
async fn tokio_has_commands_too() {
    let (lab, _, server) = two_hosts();
    let output = lab[server].tokio_command("hostname").output().await.unwrap();
    assert_eq!(output.stdout, b"server\n");
    let mut command = lab[server].tokio_command("sh");
    command.args(["-c", "pwd; exit 4"]).current_dir("/proc").stdout(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"/proc\n"[..], Some(4)));
}

#[netns_test]
fn the_standard_librarys_command_can_be_had() {
    let (lab, client, _) = two_hosts();
    let mut command = lab[client].command("hostname").into_std().unwrap();
    assert_eq!(command.output().unwrap().stdout, b"client\n");
}

#[netns_test]
fn fifty_run_at_once() {
    let (lab, client, server) = two_hosts();
    let start = |number: u32| {
        let host = if number % 2 == 0 { client } else { server };
        let mut command = lab[host].command("sh");
        let script = format!("read line; echo {number}-$line-$(hostname)");
        let child = command.args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        (child, format!("{number}-go-{}", lab[host].name()))
    };
    let mut all: Vec<_> = (0..50).map(start).collect();
    for (child, _) in &mut all {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
    for (child, line) in &mut all {
        assert!(child.wait(WAIT_LIMIT).exit().unwrap().success());
        assert_eq!(child.lines(), [line.as_str()]);
    }
}

#[netns_test]
fn from_many_threads_and_from_threads_of_hosts() {
    let (lab, client, server) = two_hosts();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // The first of all may be one of these.
                let name = || lab[server].command("hostname").output().unwrap().stdout;
                assert_eq!(lab[client].run(name), b"server\n");
            });
        }
    });
}

#[netns_test]
fn what_cannot_be_started_is_named() {
    let (lab, client, _) = two_hosts();
    let error = lab[client].command("/no/such/program").spawn().unwrap_err();
    assert_eq!(
        error.said(),
        "start /no/such/program on client: ENOENT (No such file or directory)"
    );
    let error = lab[client].command("/etc/hosts").output().unwrap_err();
    assert_eq!(error.said(), "start /etc/hosts on client: EACCES (Permission denied)");
    let error = lab[client].command("true").current_dir("/no/such").status().unwrap_err();
    assert_eq!(
        error.said(),
        "chdir /no/such for true on client: ENOENT (No such file or directory)"
    );
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
}

/// Programs write on two hosts and on both streams; the one that prints them writes, too.
#[netns_test]
#[ignore = "run by the tests below"]
fn writes_much() {
    let (lab, client, server) = two_hosts();
    let mut start = Vec::new();
    for host in [client, server] {
        start.push(lab[host].command("seq").arg("100000").spawn().unwrap());
        let mut command = lab[host].command("sh");
        start.push(command.args(["-c", "seq 200001 220000 >&2"]).spawn().unwrap());
    }
    for child in &mut start {
        assert!(child.wait(WAIT_LIMIT).exit().unwrap().success());
    }
    assert!(lab[client].command("printf").arg("no end").status().unwrap().success());
    let still = lab[client].command("sh").args(["-c", "echo x; sleep 1000"]).spawn().unwrap();
    still.wait(WAIT_LIMIT).line(|line| line == "x").unwrap();
}

#[test]
fn all_that_is_written_is_printed_with_the_hosts_names() {
    let mut command = again(&[], &["--exact", "commands::writes_much", "--nocapture"]);
    let output = text(&passes(&mut command, 1));
    for host in ["client", "server"] {
        let of_host = |from: u32, to: u32| {
            let mark = format!("{host}| ");
            let lines = output.lines().filter_map(|line| line.strip_prefix(&mark));
            let numbers = lines.filter_map(|line| line.parse::<u32>().ok());
            numbers.filter(|number| (from..=to).contains(number)).collect::<Vec<_>>()
        };
        assert!(of_host(1, 100_000).into_iter().eq(1..=100_000), "stdout of {host}");
        assert!(of_host(200_001, 220_000).into_iter().eq(200_001..=220_000), "stderr of {host}");
    }
    assert_eq!(output.lines().filter(|line| *line == "client| no end").count(), 1);
    let marked = output.lines().filter(|line| line.starts_with("client| ")).count();
    assert_eq!(marked, 120_002, "lines are mixed");
}

#[netns_test]
#[ignore = "run by the test below"]
fn fails_after_a_program_has_written() {
    let (lab, _, server) = two_hosts();
    let child = lab[server].command("sh").args(["-c", "echo last words; cat"]).spawn().unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "last words").unwrap();
    panic!("the test's own message");
}

#[test]
fn a_test_that_fails_shows_what_programs_have_written() {
    let shown = must_fail("commands::fails_after_a_program_has_written");
    assert!(shown.contains("\nserver| last words\n"), "{shown}");
    assert!(shown.contains("the test's own message"), "{shown}");
}

/// Listens on port 80 until it is killed: a program for the tests.
#[test]
#[ignore = "run on hosts"]
fn serves() {
    let listener = TcpListener::bind("0.0.0.0:80").unwrap();
    println!("serving");
    loop {
        drop(listener.accept().unwrap());
    }
}

#[netns_test]
fn a_program_that_listens_can_be_waited_for() {
    let (lab, client, server) = two_hosts();
    let own = std::env::current_exe().unwrap();
    let mut command = lab[server].command(own);
    command.args(["--ignored", "--exact", "commands::serves", "--nocapture"]);
    let child = command.spawn().unwrap();
    child.wait(WAIT_LIMIT).listening(80).unwrap();
    lab[client].run(|| TcpStream::connect("server:80")).unwrap();
    child.wait(WAIT_LIMIT).line(|line| line == "serving").unwrap();
    drop(child);
    // Dropped, it is killed, and gone.
    let refused = lab[client].run(|| TcpStream::connect("server:80")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// An ordinary user's search path has no `/usr/sbin`, where `ip`, `nft` and daemons are.
#[netns_test]
fn programs_are_found_in_the_directories_of_the_administrator() -> netns_test::Result<()> {
    const ADDED: &str = "/usr/local/sbin:/usr/sbin:/sbin";
    let (lab, client, _) = two_hosts();
    // SAFETY: no other thread of this process reads the environment meanwhile.
    unsafe { std::env::set_var("PATH", "/usr/bin:/bin") };
    assert!(lab[client].command("ip").args(["link", "show"]).output()?.status.success());
    let path = |command: &mut NodeCommand<'_>| -> netns_test::Result<String> {
        Ok(text(&command.args(["-c", "echo $PATH; ip -V >/dev/null"]).output()?))
    };
    let own = path(&mut lab[client].command("/bin/sh"))?;
    assert_eq!(own, format!("/usr/bin:/bin:{ADDED}\n"));
    let std = lab[client].command("ip").into_std()?.arg("-V").output()?;
    assert!(std.status.success(), "{}", text(&std));
    // What is there is not there twice, and its order stays.
    // SAFETY: as above.
    unsafe { std::env::set_var("PATH", "/sbin:/usr/bin:/bin") };
    let own = path(&mut lab[client].command("/bin/sh"))?;
    assert_eq!(own, "/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin\n");
    // What the caller sets holds.
    let own = path(lab[client].command("/bin/sh").env("PATH", "/bin:/usr/bin"))?;
    assert!(own.starts_with("/bin:/usr/bin\n"), "{own}");
    let cleared = lab[client].command("/usr/bin/env").env_clear().output()?;
    assert_eq!(text(&cleared), "");
    // The test's own is as before.
    assert_eq!(std::env::var("PATH").unwrap(), "/sbin:/usr/bin:/bin");
    Ok(())
}
