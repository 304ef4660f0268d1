//! An HTTP server on the port that it has in production, and a client that talks to it.

use std::error::Error;
use std::thread;

use netns_test::netns_test;
use tiny_http::{Response, Server};
use ureq::Agent;

#[netns_test(timeout = "10s")]
fn answers_on_port_80() -> Result<(), Box<dyn Error>> {
    let server = Server::http("0.0.0.0:80").map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for request in server.incoming_requests() {
            let response = Response::from_string(format!("you asked for {}", request.url()));
            request.respond(response).expect("the client waits for the answer");
        }
    });

    let mut answer = client().get("http://127.0.0.1/index.html").call()?;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body_mut().read_to_string()?, "you asked for /index.html");
    Ok(())
    // The server's thread still runs. It ends with the test's process.
}

#[netns_test(timeout = "10s")]
fn without_a_server_the_request_fails() {
    let refused = client().get("http://127.0.0.1/").call().unwrap_err();
    assert!(matches!(refused, ureq::Error::ConnectionFailed | ureq::Error::Io(_)), "{refused:?}");
}

/// A client that ignores `HTTP_PROXY`: no proxy can be reached from here.
fn client() -> Agent {
    Agent::config_builder().proxy(None).build().into()
}
