//! Calls that block the tokio runtime of the test while they wait for one of its tasks: they say so.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use netns_test::lab::WAIT_LIMIT;
use netns_test::netns_test;
use tokio::net::TcpListener;

use super::{must_fail, two_hosts};

/// How the text of an error or a note begins that says so.
const SAID: &str = "the calling thread is one of a tokio runtime that runs no task meanwhile";

const MOMENT: Duration = Duration::from_millis(300);

/// A server on `host` that listens when the runtime of the test first polls it.
fn serve(host: &netns_test::Node) -> tokio::task::JoinHandle<io::Result<()>> {
    let own = host.netns().unwrap();
    tokio::spawn(async move {
        let listener = own.run(|| std::net::TcpListener::bind("0.0.0.0:80"))??;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            drop(listener.accept().await?);
        }
    })
}

#[netns_test]
async fn a_wait_that_blocks_the_tests_runtime_says_so() {
    let (lab, client, server) = two_hosts();
    let serving = serve(&lab[server]);
    let text = lab[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    assert!(text.contains(SAID) && text.contains("spawn_blocking"), "{text}");
    let sleeper = lab[client].command("sleep").arg("60").spawn().unwrap();
    let waits = [
        lab[server].wait(MOMENT).link_up("eth7"),
        sleeper.wait(MOMENT).line(|_| false),
        sleeper.wait(MOMENT).exit().map(drop),
    ];
    for wait in waits {
        let text = wait.unwrap_err().to_string();
        assert!(text.contains(SAID), "{text}");
    }
    // It waits where it does not block: the task runs, and what is waited for comes.
    let lab = std::sync::Arc::new(lab);
    let own = std::sync::Arc::clone(&lab);
    let waited =
        tokio::task::spawn_blocking(move || own[server].wait(WAIT_LIMIT).listening(80)).await;
    waited.unwrap().unwrap();
    serving.abort();
}

/// The server is a task of the test's only thread, which goes on while the test waits.
#[netns_test]
async fn a_nonblocking_wait_lets_the_tests_runtime_go_on() {
    let (lab, client, server) = two_hosts();
    let serving = serve(&lab[server]);
    lab[server].wait(WAIT_LIMIT).nonblocking().listening(80).await.unwrap();
    lab[client].wait(WAIT_LIMIT).nonblocking().reachable(server).await.unwrap();
    let script = "read line; echo got $line; exec sleep 1000";
    let mut child = lab[client].command("sh");
    let mut child = child.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = tokio::spawn(async move { stdin.write_all(b"it\n") });
    let wanted = String::from("got it");
    let waits = child.wait(WAIT_LIMIT).nonblocking();
    waits.line(|line| line == wanted).await.unwrap();
    writer.await.unwrap().unwrap();
    let (ended, killed) = tokio::join!(waits.exit(), async { child.kill() });
    killed.unwrap();
    assert!(!ended.unwrap().success());
    serving.abort();
}

/// An error says nothing of a runtime, and has the place of the call.
#[netns_test]
async fn a_nonblocking_wait_has_a_limit() {
    let (lab, _, server) = two_hosts();
    let short = lab[server].wait(Duration::from_millis(60)).nonblocking();
    let line = line!() + 1;
    let error = short.listening(80).await.unwrap_err();
    assert!(error.is_timeout());
    let text = error.to_string();
    assert!(text.contains("there is none within 60ms"), "{text}");
    assert!(text.contains(&format!("{}:{line}:", file!())) && !text.contains("tokio"), "{text}");
    let errors =
        [short.link_up("eth7").await, short.route("10.99.0.0/24").await, short.bound(80).await];
    assert!(errors.into_iter().all(|ended| ended.unwrap_err().is_timeout()));
}

/// A future that is dropped stops its wait: the runtime of the test ends only after the threads of its pool.
#[netns_test(timeout = "20s")]
async fn a_dropped_wait_ends() {
    let (lab, client, server) = two_hosts();
    let child = lab[client].command("sleep").arg("1000").spawn().unwrap();
    let unlimited = child.wait(Duration::MAX).nonblocking();
    let moment = Duration::from_millis(10);
    tokio::time::timeout(moment, unlimited.line(|_| false)).await.unwrap_err();
    tokio::time::timeout(moment, unlimited.listening(80)).await.unwrap_err();
    tokio::time::timeout(moment, unlimited.exit()).await.unwrap_err();
    let unlimited = lab[server].wait(Duration::MAX).nonblocking();
    tokio::time::timeout(moment, unlimited.established(80)).await.unwrap_err();
    tokio::time::timeout(moment, unlimited.link_up("eth7")).await.unwrap_err();
    tokio::time::timeout(moment, unlimited.reachable("10.0.0.99")).await.unwrap_err();
}

/// Of two workers one waits, and the other one runs tasks, but perhaps not the one that the first worker
/// has started last.
#[netns_test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_with_a_free_worker_blocks_no_runtime() {
    let (lab, _, server) = two_hosts();
    let wait = move || lab[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    let text = tokio::spawn(async move { wait() }).await.unwrap();
    assert!(!text.contains(SAID), "{text}");
    // The test itself is no worker.
    let (lab, _, server) = two_hosts();
    let text = lab[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    assert!(!text.contains("tokio"), "{text}");
}

#[netns_test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wait_on_the_only_worker_says_so() {
    let (lab, _, server) = two_hosts();
    let wait = move || lab[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    let text = tokio::spawn(async move { wait() }).await.unwrap();
    assert!(text.contains(SAID), "{text}");
}

/// On threads that a runtime has for what blocks, and outside of runtimes, nothing is said.
#[netns_test]
async fn a_wait_that_blocks_no_runtime_says_nothing() {
    let (lab, _, server) = two_hosts();
    let lab = std::sync::Arc::new(lab);
    let own = std::sync::Arc::clone(&lab);
    let wait = move || own[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    let text = tokio::task::spawn_blocking(wait).await.unwrap();
    assert!(!text.contains("tokio"), "{text}");
    let own = std::sync::Arc::clone(&lab);
    let wait = move || own[server].wait(MOMENT).listening(80).unwrap_err().to_string();
    let text = std::thread::spawn(wait).join().unwrap();
    assert!(!text.contains(SAID), "{text}");
}

/// A call without a limit ends with the time limit of the test.
#[test]
fn calls_without_a_limit_say_so_before_the_test_is_ended() {
    for (name, call) in [
        ("runs", "`run` on client"),
        ("blocks_on", "`block_on` on client"),
        ("waits_for_a_program", "`wait` for cat (process "),
        ("takes_output", "`output` of cat (process "),
    ] {
        let text = must_fail(&format!("blocking::{name}"));
        assert!(text.contains(&format!("netns-test: {call}")), "{name}: {text}");
        assert!(text.contains(SAID), "{name}: {text}");
    }
}

#[netns_test(timeout = "4s")]
#[ignore = "run by calls_without_a_limit_say_so_before_the_test_is_ended"]
async fn runs() {
    let (lab, client, server) = two_hosts();
    drop(serve(&lab[server]));
    lab[client].run(|| while TcpStream::connect("server:80").is_err() {});
}

#[netns_test(timeout = "4s")]
#[ignore = "run by calls_without_a_limit_say_so_before_the_test_is_ended"]
async fn blocks_on() {
    let (lab, client, server) = two_hosts();
    drop(serve(&lab[server]));
    lab[client].block_on(async { while TcpStream::connect("server:80").is_err() {} });
}

#[netns_test(timeout = "4s")]
#[ignore = "run by calls_without_a_limit_say_so_before_the_test_is_ended"]
async fn waits_for_a_program() {
    let (lab, client, _) = two_hosts();
    let mut cat = lab[client].command("cat").stdin(Stdio::piped()).spawn().unwrap();
    let stdin = cat.stdin.take();
    // It closes it when it is polled.
    drop(tokio::spawn(async move { drop(stdin) }));
    cat.wait(Duration::MAX).exit().unwrap();
}

#[netns_test(timeout = "4s")]
#[ignore = "run by calls_without_a_limit_say_so_before_the_test_is_ended"]
async fn takes_output() {
    let (lab, client, _) = two_hosts();
    let (reader, writer) = UnixStream::pair().unwrap();
    drop(tokio::spawn(async move { drop(writer) }));
    lab[client].command("cat").stdin(OwnedFd::from(reader)).output().unwrap();
}
