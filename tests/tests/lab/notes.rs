//! What a test and its code say themselves: on the timeline of its report, each with the host that
//! it comes from. And the environment of the programs of one host.

use netns_test::{TimelineLayer, netns_test};
use netns_test_tests::text;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{must_fail, two_hosts};

#[test]
fn the_timeline_has_notes_spans_and_events() {
    let report = must_fail("notes::says_what_it_does");
    let row = |node: &str, kind: &str, said: &str| {
        let is_row = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let is_at = node.is_empty() || words.next() == Some(node);
            is_at && words.next() == Some(kind) && line.contains(said)
        };
        assert!(report.lines().any(is_row), "{node} {kind} {said}: {report}");
    };
    row("", "note", "note of the test");
    row("", "note", "note of the lab");
    row("server", "note", "note on a thread");
    row("client", "note", "note within");
    row("client", "note", "note in a task");
    row("server", "span", "request begins id=7");
    row("server", "span", "request:query begins");
    row("server", "event", "WARN lab::notes: slow rows=2 table=\"users\" (in request:query)");
    row("server", "span", "request:query ends after ");
    row("", "event", "INFO lab::notes: no span here");
    assert!(report.contains("\\u{1b}") || !report.contains('\u{1b}'), "{report}");
}

#[netns_test]
#[ignore = "run by the_timeline_has_notes_spans_and_events"]
fn says_what_it_does() {
    let subscriber = tracing_subscriber::registry().with(TimelineLayer::new());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (lab, client, server) = two_hosts();
    netns_test::note("note of the test");
    lab.note("note of the lab");
    lab[server].run(|| {
        netns_test::note("note on a thread");
        let _request = tracing::info_span!("request", id = 7).entered();
        let _query = tracing::info_span!("query").entered();
        tracing::warn!(rows = 2, table = ?"users", "slow");
    });
    let within = lab[client].enter().unwrap();
    netns_test::note("note within");
    drop(within);
    lab[client].block_on(lab[client].spawn(async { netns_test::note("note in a task") })).unwrap();
    tracing::info!("no span \x1b[31mhere");
    tracing::info!("no span here");
    panic!("own message");
}

/// The other events still find room.
#[test]
fn very_many_events_are_counted() {
    let report = must_fail("notes::says_very_much");
    assert!(report.contains("note at the end"), "{report}");
    assert!(report.contains("events did not fit into the log"), "{report}");
}

#[netns_test]
#[ignore = "run by very_many_events_are_counted"]
fn says_very_much() {
    let subscriber = tracing_subscriber::registry().with(TimelineLayer::new());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for number in 0..40_000 {
        tracing::info!(number, "again");
    }
    netns_test::note("note at the end");
    panic!("own message");
}

#[netns_test]
fn the_programs_of_a_host_have_its_environment() {
    let (lab, client, server) = two_hosts();
    lab[server].set_env("RUST_LOG", "debug");
    lab[server].set_env("OTHER", "1");
    let of = |host: netns_test::NodeId| {
        lab[host].command("sh").args(["-c", "echo $RUST_LOG-$OTHER"]).output().unwrap()
    };
    assert_eq!(text(&of(server)), "debug-1\n");
    assert_eq!(text(&of(client)), "-\n");
    let mut own = lab[server].command("sh");
    own.args(["-c", "echo $RUST_LOG"]).env("RUST_LOG", "trace");
    assert_eq!(text(&own.output().unwrap()), "trace\n");
}
