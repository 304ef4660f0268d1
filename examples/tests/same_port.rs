//! Two tests that need the same port run at the same time: each has a `lo` of its own.
//!
//! Both hold port 8080 for a second. The run takes one second, not two.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use netns_test::netns_test;

#[netns_test]
fn greets_ann() -> io::Result<()> {
    serves_on_8080("hello Ann")
}

#[netns_test]
fn greets_bob() -> io::Result<()> {
    serves_on_8080("hello Bob")
}

/// Serves `greeting` to one client. Were the port shared, the second test could not bind it,
/// or a client could reach the server of the other test.
fn serves_on_8080(greeting: &'static str) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    let server = thread::spawn(move || -> io::Result<()> {
        let (mut client, _) = listener.accept()?;
        client.write_all(greeting.as_bytes())?;
        thread::sleep(Duration::from_secs(1));
        Ok(())
    });

    let mut answer = String::new();
    TcpStream::connect("127.0.0.1:8080")?.read_to_string(&mut answer)?;
    assert_eq!(answer, greeting);
    server.join().expect("the server does not panic")
}
