//! Tests of refused connections, and near misses. Pure.

use crate::evidence::facts::network::{AttemptKind, Filter};
use crate::explain::cause::Certainty::{Certain, Likely};
use crate::explain::sample::Sample;

const REFUSED: &str = "Os { code: 111, kind: ConnectionRefused, message: \"\" }";

/// Returns a lab in which 10.0.0.2:8080 has refused, by the flight recorder, at 10.8 s. The
/// statement that failed names it, and no thread was on the server since 10.7 s.
fn refused() -> Sample {
    let mut sample = unnamed();
    sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
    sample.visited(&["0 10850 client", "0 10700 server"]);
    sample
}

fn unnamed() -> Sample {
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
    sample.panics(REFUSED)
}

const NOW: &str = "the sockets are those of the moment of the failure, 0.100 s after the refusal";

#[test]
fn a_listener_that_may_have_come_later_is_likely() {
    let visits: [&[&str]; 4] =
        [&["0 10850 server"], &["1 10700 server"], &[], &["0 10850 client", "0 10700 server"]];
    for (at, rows) in visits.iter().enumerate() {
        let mut sample = unnamed();
        sample.ending.statement = "TcpStream::connect(to).unwrap();".into();
        sample.visited(rows);
        sample.socket("server", 1, "127.0.0.1:8080", "");
        if at == 3 {
            sample.says(Certain, "the test listens on 127.0.0.1:8080 only");
            // A thread of the test is there.
            sample.thread("server", 9, "futex", None);
        }
        let cause = sample.says(Likely, "the test listens on 127.0.0.1:8080 only");
        assert!(cause.proof.iter().any(|line| line == NOW), "{cause:?}");
    }
    // Without the time of the refusal.
    let mut sample = refused();
    sample.socket("server", 1, "127.0.0.1:8080", "");
    sample.network("client").attempts.as_mut().unwrap()[0].at = None;
    sample.says(Likely, "the test listens on 127.0.0.1:8080 only");
}

#[test]
fn a_refusal_of_another_socket_is_not_joined_with_the_error() {
    let statements = [
        "",
        "connect(to).unwrap();",
        "let _ = TcpStream::connect(\"10.0.0.2:8080\").ok(); UnixStream::connect(p).unwrap();",
    ];
    for statement in statements {
        let mut sample = unnamed();
        sample.ending.statement = statement.into();
        sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
    }
    let mut sample = unnamed();
    sample.ending.statement = "UnixStream::connect(path).unwrap();".into();
    sample.says(Likely, "no process has the UNIX socket of that path open any more");
    sample.does_not_say("10.0.0.2:8080");
    // The message names another address, which has not refused anything.
    let mut sample = Sample::pair();
    sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
    let other = "connect 10.0.0.2:9090: Connection refused (os error 111)";
    sample.clone().panics(other).says(Likely, "nothing on server listens on 10.0.0.2:9090");
    let named = "connect 10.0.0.2:8080: Connection refused (os error 111)";
    let mut sample = sample.panics(named);
    sample.visited(&["0 10700 server"]);
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    // It came after the failure.
    let mut sample = refused();
    sample.network("client").attempts.as_mut().unwrap()[0].at =
        Some(std::time::Duration::from_secs(11));
    sample.says(Likely, "nothing on server");
}

#[test]
fn a_socket_that_was_closed_may_have_listened() {
    let mut sample = refused();
    sample.attempt("server", AttemptKind::Closed, "0.0.0.0:8080", "");
    let cause = sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
    assert!(cause.proof[2].contains("a TCP socket on 0.0.0.0:8080 on server is closed"));
    // The kernel has chosen its port.
    let mut sample = refused();
    sample.attempt("server", AttemptKind::Closed, "127.0.0.1:48923", "");
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    // A connection that was refused has closed its socket.
    let mut sample = refused();
    sample.attempt("server", AttemptKind::Reset, "10.0.0.1:80", "10.0.0.2:41234");
    sample.attempt("server", AttemptKind::Closed, "0.0.0.0:41234", "");
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    // A listener may have come and gone.
    let mut sample = unnamed();
    sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
    sample.visited(&["0 10850 server"]);
    sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
    // One of another node says nothing.
    let mut sample = refused();
    sample.attempt("client", AttemptKind::Closed, "0.0.0.0:8080", "");
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
}

#[test]
fn after_the_end_the_sockets_are_not_known() {
    use crate::evidence::facts::Reason;
    let mut sample = refused();
    sample.look().reason = Reason::End;
    let text = "nothing on server listened on 10.0.0.2:8080 when the connection came";
    sample.says(Likely, text);
    sample.attempt("server", AttemptKind::Closed, "127.0.0.1:8080", "");
    let cause = sample.says(Likely, text);
    assert!(cause.proof[1].contains("had 127.0.0.1:8080, which no other node reaches"));
    sample.does_not_say("no program");
    let mut without = Sample::pair().panics(REFUSED);
    without.look().reason = Reason::End;
    without.does_not_say("nothing");
    without.count("server", "Tcp.OutRsts", 1);
    without.says(Likely, "nothing on server listened at the address of the connection");
    without.does_not_say("nothing listens");
}

#[test]
fn a_listener_elsewhere_is_found() {
    let samples = [
        ("127.0.0.1:8080", "listens on 127.0.0.1:8080 only"),
        ("10.0.0.2:8081", "listens on 10.0.0.2:8081"),
        ("[::1]:8080", "listens on [::1]:8080 only"),
    ];
    for (local, text) in samples {
        let mut sample = refused();
        sample.socket("server", 1, local, "");
        let text = format!("nothing on server listens on 10.0.0.2:8080: the test {text}");
        let cause = sample.says(Certain, &text);
        assert_eq!((cause.sockets, cause.nodes), (vec![1], vec!["server".to_owned()]));
    }
    let mut sample = refused();
    sample.socket("server", 1, "[::]:8080", "").is_v6_only = Some(true);
    let cause = sample.says(Certain, "the test listens on [::]:8080 only");
    assert!(cause.proof[1].contains("IPV6_V6ONLY"), "{cause:?}");
}

#[test]
fn a_listener_that_accepts_came_too_late() {
    for local in ["0.0.0.0:8080", "10.0.0.2:8080", "[::]:8080"] {
        let mut sample = refused();
        sample.socket("server", 1, local, "").is_v6_only = Some(false);
        sample.says(Likely, "server did not listen on 10.0.0.2:8080 yet");
        sample.does_not_say("nothing on server");
    }
}

#[test]
fn a_filter_refuses_whatever_listens() {
    let mut sample = refused();
    sample.socket("server", 1, "0.0.0.0:8080", "");
    let rule = Filter {
        table: "inet f".into(),
        chain: "input".into(),
        text: "tcp dport 8080 reject".into(),
        verdict: "reject".into(),
        packets: 1,
    };
    sample.network("server").filters.push(rule);
    sample.does_not_say("did not listen");
    sample.network("server").filters[0].text = "tcp dport 80 reject".into();
    sample.says(Likely, "server did not listen on 10.0.0.2:8080 yet");
}

#[test]
fn a_program_that_has_died_and_another_node_are_found() {
    let mut sample = refused();
    sample.program("server", "exited with status 3", "cannot open config");
    let cause = sample.says(Likely, "and app (process 7) exited with status 3");
    assert!(cause.proof.iter().any(|line| line.contains("cannot open config")), "{cause:?}");
    let mut sample = refused();
    sample.socket("client", 1, "0.0.0.0:8080", "");
    sample.says(Likely, "listens on that port on client instead");
    let mut sample = unnamed();
    sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
    sample.visited(&["0 10850 server", "0 10700 client"]);
    sample.socket("client", 1, "0.0.0.0:8080", "");
    sample.says(Certain, "listens on that port on client instead");
    refused().says(Certain, "nothing on server listens on 10.0.0.2:8080");
    // It has done its work, or has ended later.
    let mut sample = refused();
    sample.program("server", "exited with status 0", "bye");
    let cause = sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    assert!(cause.proof[1].ends_with("and exited with status 0"), "{cause:?}");
    sample.socket("server", 1, "10.0.0.2:8081", "");
    sample.says(Certain, "the test listens on 10.0.0.2:8081");
    let mut late = refused();
    late.program("server", "exited with status 3", "boom");
    let last = late.facts.events.last_mut().unwrap();
    last.at = std::time::Duration::from_millis(10_850);
    late.says(Certain, "nothing on server listens on 10.0.0.2:8080");
}

#[test]
fn two_refusals_leave_open_which_has_failed() {
    let mut sample = refused();
    sample.attempt("client", AttemptKind::Reset, "10.0.0.2:9090", "10.0.0.1:41234");
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    sample.ending.statement = "TcpStream::connect(to).unwrap();".into();
    sample.says(Likely, "the error is that of one of 2 refused connections");
    // The same server by its other address is one.
    let mut sample = refused();
    sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41236");
    sample.says(Certain, "nothing on server");
}

#[test]
fn an_address_of_two_nodes_may_be_refused_by_either() {
    let mut sample = refused();
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    let twice = sample.interface("server", "eth0").addresses.clone();
    sample.interface("client", "eth0").addresses.extend(twice);
    sample.says(Likely, "client and server both have the address 10.0.0.2");
    sample.does_not_say("listens");
}

#[test]
fn a_filter_may_have_refused() {
    let mut sample = refused();
    let filter = Filter { verdict: "reject".into(), packets: 1, ..Filter::default() };
    sample.network("server").filters.push(filter);
    let causes = sample.causes();
    assert!(causes.iter().all(|cause| cause.certainty == Likely), "{causes:?}");
}

#[test]
fn without_a_recorder_the_sockets_must_do() {
    let without = || Sample::pair().panics(REFUSED);
    without().says(Likely, "nothing listens on any node");
    let mut sample = without();
    sample.socket("server", 1, "127.0.0.1:8080", "");
    sample.says(Likely, "the test on server listens on 127.0.0.1:8080 only");
    let mut sample = without();
    sample.socket("server", 1, "0.0.0.0:8081", "");
    sample.says(Likely, "another address than 0.0.0.0:8081, on which server listens");
    sample.program("server", "exited with status 3", "cannot open config");
    sample.says(Likely, "app (process 7) exited with status 3");
    let mut sample = without();
    sample.network("server").gaps.push("sockets: no".into());
    sample.says(Likely, "nothing listens on any node");
}

/// A socket that is not listed may be there.
#[test]
fn a_look_that_was_cut_proves_nothing() {
    let mut sample = refused();
    sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    sample.look().is_cut = true;
    let cause = sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
    assert!(cause.proof.iter().any(|proof| proof.starts_with("not all of the state was read")));
    sample.facts.looks.clear();
    assert!(sample.causes().iter().all(|cause| cause.certainty == Likely));
}
