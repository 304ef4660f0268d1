//! A download by HTTP over a link that loses packets. TCP sends them again, so that the client gets
//! each byte; in a second network of the same kind the same bytes are lost.

use std::collections::BTreeSet;
use std::error::Error;

use netns_test::lab::{Impairment, LostPacket};
use netns_test::{Topology, netns_test};
use tiny_http::{Response, Server};
use ureq::Agent;

#[netns_test(timeout = "60s")]
fn the_same_bytes_are_lost_again() -> Result<(), Box<dyn Error>> {
    let first = bytes_lost_on_the_way()?;
    assert!(!first.is_empty());
    assert_eq!(bytes_lost_on_the_way()?, first);
    Ok(())
}

/// Downloads a file. Returns the positions of the bytes that were lost when they were first sent.
fn bytes_lost_on_the_way() -> Result<BTreeSet<u64>, Box<dyn Error>> {
    let mut net = Topology::new();
    let (phone, mast, server) = (net.host("phone"), net.router("mast"), net.host("server"));
    let air = net.link(phone, mast).impair(Impairment::lte().loss("3%")).id();
    net.link(mast, server);
    let lab = net.build()?;

    let http = lab[server].run(|| Server::http("0.0.0.0:80")).map_err(|error| error.to_string())?;
    let file = vec![7; 300_000];
    let answer = Response::from_data(file.clone());
    lab[server].spawn_thread(move || http.recv().and_then(|request| request.respond(answer)));
    let url = format!("http://{}/file", lab[server].ipv4());
    // A client that ignores `HTTP_PROXY`: no proxy can be reached from here.
    let client: Agent = Agent::config_builder().proxy(None).build().into();
    let got = lab[phone].run(|| client.get(&url).call()?.body_mut().read_to_vec())?;
    assert!(got == file);

    println!("{}", lab[air].stats()?);
    let losses = lab[air].losses()?.into_iter().filter(|lost| lost.from == "mast");
    let starts = losses.filter_map(|lost| match lost.packet {
        LostPacket::Data { bytes, attempt: 0 } => Some(bytes.start),
        _ => None,
    });
    Ok(starts.collect())
}
