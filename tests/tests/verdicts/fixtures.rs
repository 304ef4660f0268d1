//! Test bodies that end in every way there is. Most fail, so all are ignored; the tests
//! beside this file run them and look at what a person would see.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio, exit};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netns_test::{Topology, netns_test};

use super::raw;

mod at_exit;

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns() {
    println!("not shown for a test that passes");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_ok() -> Result<(), String> {
    Ok(())
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_err() -> Result<(), std::num::ParseIntError> {
    "x".parse::<u8>()?;
    Ok(())
}

/// Advice is shown also if the error is one of several causes.
#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_err_of_a_lab_in_a_box() -> Result<(), Box<dyn std::error::Error>> {
    let mut net = Topology::new();
    let host = net.host("host");
    let lab = net.build()?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "late", "/mnt"]).status()?;
    assert!(mounted.success());
    std::fs::write("/mnt/program", [])?;
    let status: i32 = "0".parse()?;
    assert_eq!(lab[host].command("true").status()?.code(), Some(status));
    lab[host].command("/mnt/program").status()?;
    Ok(())
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn returns_exit_code() -> ExitCode {
    ExitCode::from(3)
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn assertion_fails() {
    println!("printed before");
    assert_eq!(1 + 1, 3, "arithmetic");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
async fn panics_in_async() {
    tokio::task::yield_now().await;
    panic!("after an await");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn unwraps_none() {
    let nothing = std::env::var_os("NOT_SET_BY_ANYBODY");
    nothing.unwrap();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn panics_with_a_value() {
    std::panic::panic_any(42);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn panics_at_length() {
    std::panic::resume_unwind(Box::new("x".repeat(3 << 20)));
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn thread_panics_and_is_joined() {
    let worker = std::thread::Builder::new().name("worker".into());
    worker.spawn(|| panic!("in a thread")).unwrap().join().unwrap();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn thread_panics_and_is_not_asked() {
    let worker = std::thread::Builder::new().name("worker".into());
    drop(worker.spawn(|| panic!("its result is dropped")).unwrap().join());
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn exits_with_0() {
    print!("a line without an end");
    exit(0);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn exits_with_1() {
    exit(1);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn exits_at_once() {
    raw::exit_now(0);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn exits_in_a_thread() {
    drop(std::thread::spawn(|| exit(0)).join());
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn becomes_another_program() {
    raw::exec("true");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn becomes_another_program_under_a_trace() {
    raw::trace_me();
    raw::exec("true");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn aborts_under_a_trace() {
    raw::trace_me();
    std::process::abort();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn traps_under_a_trace() {
    raw::trace_me();
    raw::traps();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn handles_a_signal_under_a_trace() {
    raw::trace_me();
    raw::handles_a_signal();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn ends_its_thread() {
    raw::end_thread();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn aborts() {
    println!("printed before");
    std::process::abort();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn segfaults() {
    raw::segfault();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn is_killed() {
    raw::kill_self(libc::SIGKILL);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn is_terminated() {
    raw::kill_self(libc::SIGTERM);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn dies_by_a_real_time_signal() {
    raw::kill_self(libc::SIGRTMIN() + 5);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn a_child_dies_by_a_real_time_signal() {
    for _ in 0..20 {
        // Orphans, which init reaps.
        raw::daemonise(|| raw::kill_self(libc::SIGRTMIN() + 5));
    }
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn cannot_trace_or_read_init() {
    // SAFETY: no memory is touched.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_ATTACH, 1, 0, 0) }, -1);
    let refused = std::io::Error::last_os_error();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    assert!(std::fs::read_link("/proc/1/fd/0").is_err());
    assert!(std::fs::File::open("/proc/1/fd/0").is_err());
    assert!(std::fs::File::open("/proc/1/mem").is_err());
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn has_no_terminal() {
    let error = std::fs::File::open("/dev/tty").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENXIO), "{error}");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn leaves_many_daemons() {
    for _ in 0..50 {
        raw::daemonise(|| {
            loop {
                std::thread::park();
            }
        });
    }
    panic!("fifty of them");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn child_with_the_same_number_returns() {
    let Some(child) = raw::fork_with_own_number() else { return };
    raw::wait(child);
    exit(0);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn overflows_the_stack() {
    println!("{}", raw::recurse(1));
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn overflows_a_thread() {
    drop(std::thread::spawn(|| println!("{}", raw::recurse(1))).join());
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn panics_twice() {
    struct Second;
    impl Drop for Second {
        fn drop(&mut self) {
            panic!("the second");
        }
    }
    let _second = Second;
    panic!("the first");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn panics_after_its_end() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            panic!("in a destructor of thread-local storage");
        }
    }
    std::thread_local!(static LATE: Late = const { Late });
    LATE.with(|_| {});
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn dies_while_it_exits() {
    raw::at_exit(raw::abort_at_exit);
}

#[netns_test(timeout = "300ms")]
#[ignore = "run by verdicts.rs"]
fn hangs_while_it_exits() {
    raw::at_exit(raw::hang_at_exit);
}

#[netns_test(timeout = "300ms")]
#[ignore = "run by verdicts.rs"]
fn loops() {
    println!("printed before");
    loop {
        std::hint::spin_loop();
    }
}

#[netns_test(timeout = "300ms")]
#[ignore = "run by verdicts.rs"]
async fn awaits_pending() {
    std::future::pending::<()>().await;
}

#[netns_test(timeout = "300ms")]
#[ignore = "run by verdicts.rs"]
fn deadlocks() {
    let (one, other) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let both = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for (first, second) in [(&one, &other), (&other, &one)] {
            scope.spawn(|| {
                let _first = first.lock().unwrap();
                both.wait();
                let _second = second.lock().unwrap();
            });
        }
    });
}

#[netns_test(timeout = "300ms")]
#[ignore = "run by verdicts.rs"]
fn stops_itself() {
    raw::kill_self(libc::SIGSTOP);
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn closes_everything_and_passes() {
    raw::close_everything();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn closes_everything_and_fails() {
    raw::close_everything();
    panic!("no stream is left");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn replaces_its_streams_and_passes() {
    raw::replace_streams();
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn replaces_its_streams_and_fails() {
    raw::replace_streams();
    panic!("no stream is left");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn forked_child_returns() {
    if let Some(child) = raw::fork() {
        raw::wait(child);
        exit(0);
    }
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn forked_child_panics() {
    match raw::fork() {
        Some(child) => raw::wait(child),
        None => panic!("in the child"),
    }
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn forked_child_exits() {
    match raw::fork() {
        Some(child) => raw::wait(child),
        None => exit(1),
    }
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn leaves_a_daemon() {
    raw::daemonise(|| {
        loop {
            std::thread::park();
        }
    });
    panic!("the daemon has stdout and is gone nevertheless");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
#[expect(clippy::zombie_processes, reason = "it is to be left behind")]
fn leaves_a_program() {
    let sleep = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    // So that the note can name the program: it is that program when it has been started.
    netns_test_tests::eventually(netns_test_tests::LIMIT, "exec is done", || {
        std::fs::read_to_string(format!("/proc/{}/comm", sleep.id())).unwrap() == "sleep\n"
    });
    panic!("it left a program");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn writes_no_utf8() {
    std::io::stdout().write_all(b"before \xff\xfe after\n").unwrap();
    std::io::stdout().write_all("caf\u{e9}\n".as_bytes()).unwrap();
    panic!("to have the output shown");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn every_process_writes() {
    println!("std");
    raw::c_puts(c"the C library\n");
    Command::new("echo").arg("a program").status().unwrap();
    std::thread::spawn(|| println!("a thread")).join().unwrap();
    panic!("to have the output shown");
}

#[netns_test]
#[ignore = "run by verdicts.rs"]
fn writes_to_both_streams_in_turn() {
    for number in 0..50 {
        println!("out {number}");
        eprintln!("err {number}");
    }
    panic!("to have the output shown");
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_does() {
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "as it should")]
#[ignore = "run by verdicts.rs"]
fn should_panic_as_expected() {
    panic!("exactly as it should be");
}

#[netns_test]
#[should_panic = "as it should"]
#[ignore = "run by verdicts.rs"]
fn should_panic_with_other_words() {
    panic!("otherwise");
}

#[netns_test]
#[should_panic(expected = "text")]
#[ignore = "run by verdicts.rs"]
fn should_panic_but_with_a_value() {
    std::panic::panic_any(42);
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_returns() {}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_exits() {
    exit(0);
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_exits_with_101() {
    exit(101);
}

#[netns_test]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_segfaults() {
    raw::segfault();
}

#[netns_test(timeout = "300ms")]
#[should_panic]
#[ignore = "run by verdicts.rs"]
fn should_panic_and_hangs() {
    std::thread::sleep(Duration::from_secs(1000));
}
