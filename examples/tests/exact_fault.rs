//! A counter that must count each request once, although the client sends a request again when its
//! connection breaks. The worst moment is when the server has counted, and its answer is lost: a
//! rule resets the connection at exactly that packet.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};

use netns_test::lab::{Action, Packet, ResetTarget};
use netns_test::{Topology, netns_test};

/// Server under test: a request is a line with a number that the client has chosen, the answer is
/// the count of the requests.
fn serve(listener: &TcpListener) {
    let mut seen = BTreeSet::new();
    for connection in listener.incoming().flatten() {
        let mut lines = BufReader::new(&connection).lines();
        while let Some(Ok(request)) = lines.next() {
            seen.insert(request);
            let answer = format!("{}\n", seen.len());
            // The client asks again if it misses the answer.
            drop((&connection).write_all(answer.as_bytes()));
        }
    }
}

/// Client under test: one connection for a request.
fn count(request: u32) -> io::Result<String> {
    let mut connection = BufReader::new(TcpStream::connect("server:7")?);
    writeln!(connection.get_mut(), "{request}")?;
    let mut answer = String::new();
    match connection.read_line(&mut answer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer.trim_end().to_owned()),
    }
}

#[netns_test(timeout = "60s")]
fn a_request_whose_answer_is_lost_counts_once() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (client, server) = (net.host("client"), net.host("server"));
    let wire = net.link(client, server).impairable().id();
    let lab = net.build()?;
    let listener = lab[server].run(|| TcpListener::bind("[::]:7")).expect("a free port");
    lab[server].spawn_thread(move || serve(&listener));

    assert_eq!(lab[client].run(|| count(100)).unwrap(), "1");
    let fault = lab[wire]
        .on(Packet::tcp().source_port(7).data())
        .nth(1)
        .apply(Action::Reset(ResetTarget::Both))?;
    let broken = lab[client].run(|| count(101)).unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
    assert_eq!(fault.hits(), 1);
    // The server had counted it.
    assert_eq!(lab[client].run(|| count(101)).unwrap(), "2");
    Ok(())
}
