//! An HTTP server on one host and its client on another, with a router between them. Names resolve, and
//! each program is at the address that it would have.

use std::error::Error;

use netns_test::{Topology, netns_test};
use tiny_http::{Response, Server};
use ureq::Agent;

#[netns_test(timeout = "20s")]
fn a_client_finds_the_server_by_its_name() -> Result<(), Box<dyn Error>> {
    let mut net = Topology::new();
    let (client, home, server) = (net.host("client"), net.router("home"), net.host("server"));
    net.link(client, home);
    net.link(home, server);
    // `ci/example --nocapture` shows it.
    println!("{}", net.plan()?);
    let lab = net.build()?;

    // A socket keeps the host that it was made on, whoever uses it.
    let http = lab[server].run(|| Server::http("0.0.0.0:80")).map_err(|error| error.to_string())?;
    lab[server].spawn_thread(move || {
        for request in http.incoming_requests() {
            let from = request.remote_addr().expect("a TCP connection").ip();
            let response = Response::from_string(format!("hello {from}"));
            request.respond(response).expect("the client waits for the answer");
        }
    });

    let answer = lab[client].run(|| -> Result<String, ureq::Error> {
        client_without_proxy().get("http://server/").call()?.body_mut().read_to_string()
    })?;
    let own = lab.plan().nodes()[0].addresses[0];
    assert_eq!(answer, format!("hello {own}"));

    // The body itself is on none of them.
    let failed = client_without_proxy().get("http://server/").call().unwrap_err();
    assert!(matches!(failed, ureq::Error::HostNotFound | ureq::Error::Io(_)), "{failed:?}");
    Ok(())
    // The server's thread still runs. It ends with the test's process.
}

/// A client that ignores `HTTP_PROXY`: no proxy can be reached from here.
fn client_without_proxy() -> Agent {
    Agent::config_builder().proxy(None).build().into()
}
