//! Kinds of functions: sync and async, and all that a test may return.

use std::error::Error;
use std::num::ParseIntError;
use std::process::{ExitCode, Termination};
use std::time::Duration;

use netns_test::netns_test;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::proof::isolated;

#[netns_test]
fn sync() {
    isolated();
}

#[netns_test]
async fn asynchronous() {
    tokio::task::yield_now().await;
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[netns_test(flavor = "current_thread")]
async fn current_thread() {
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[netns_test(flavor = "multi_thread")]
async fn multi_thread() {
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    // A worker is a thread of the sandboxed process like any other.
    let on_a_worker = tokio::spawn(async { std::os::unix::process::parent_id() });
    assert_eq!(on_a_worker.await.unwrap(), 1);
}

#[netns_test(worker_threads = 3, flavor = "multi_thread")]
async fn worker_threads() {
    isolated();
    assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(Handle::current().metrics().num_workers(), 3);
}

#[netns_test(timeout = "20s", start_paused = true)]
async fn paused_clock() {
    isolated();
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3600));
}

#[netns_test(start_paused = false)]
async fn running_clock() {
    isolated();
    let start = std::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(start.elapsed() >= Duration::from_millis(5));
}

#[netns_test]
async fn runtime_has_a_network() {
    isolated();
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(server.local_addr().unwrap());
    let (accepted, connected) = tokio::join!(server.accept(), client);
    assert_eq!(accepted.unwrap().1, connected.unwrap().local_addr().unwrap());
}

#[netns_test]
#[expect(clippy::unused_unit, reason = "the type as written is what is tested")]
fn unit() -> () {
    isolated();
}

#[netns_test]
fn result() -> Result<(), ParseIntError> {
    isolated();
    assert_eq!("80".parse::<u16>()?, 80);
    Ok(())
}

#[netns_test]
#[ignore = "fails; run by compose.rs"]
fn question_mark_fails() -> Result<(), Box<dyn Error>> {
    isolated();
    "eighty".parse::<u16>()?;
    Ok(())
}

#[netns_test]
#[ignore = "fails; run by compose.rs"]
async fn question_mark_fails_in_async() -> Result<(), Box<dyn Error + Send + Sync>> {
    isolated();
    tokio::net::TcpStream::connect("127.0.0.1:1").await?;
    Ok(())
}

#[netns_test]
fn early_return() -> Result<(), String> {
    isolated();
    if std::process::id() > 0 {
        return Ok(());
    }
    Err("not reached".to_owned())
}

#[netns_test]
fn early_return_of_nothing() {
    isolated();
    let Some(_) = std::env::var_os("NOT_SET_BY_ANYBODY") else { return };
    panic!("not reached");
}

#[netns_test]
fn exit_code() -> ExitCode {
    isolated();
    ExitCode::SUCCESS
}

#[netns_test]
fn result_with_exit_code() -> Result<ExitCode, std::fmt::Error> {
    isolated();
    Ok(ExitCode::SUCCESS)
}

#[netns_test]
fn impl_termination() -> impl Termination {
    isolated();
    Ok::<(), std::fmt::Error>(())
}

#[netns_test]
async fn async_result() -> Result<(), String> {
    isolated();
    async { Ok::<_, String>(()) }.await?;
    Ok(())
}

#[netns_test]
async fn async_impl_termination() -> impl Termination {
    isolated();
}
