//! An event of a test: what the lab, its programs and the test's threads did, and when. Pure.

use std::fmt;
use std::time::Duration;

use crate::evidence::code::{facts, words};

facts! {
    /// An event.
    struct Event {
        at: Duration,
        kind: EventKind,
        /// Name of the node that it happened on; empty for none, and for the test itself.
        node: String,
        /// Thread that caused it, as it is numbered in the test's PID namespace; 0 for none.
        thread: u32,
        /// One line for people, without node and kind: `echo-server --port 8080 (pid 7)`.
        text: String,
        /// Further values by name, such as `pid`, `status`, `link`, `file`.
        details: Vec<Detail>,
    }
}

facts! {
    /// A value of an event.
    struct Detail {
        name: String,
        value: String,
    }
}

words! {
    /// Kind of an event.
    enum EventKind {
        /// The test, or its user, has said it.
        Note = "note",
        /// A thread has panicked. Details: `message`, `place` (`file:line:column`), `name` of the
        /// thread, `visits` of nodes.
        Panic = "PANIC",
        /// A lab was built or extended.
        Build = "built",
        /// A lab has ended.
        Drop = "dropped",
        /// A link or interface went down or up. Details: `link` or `interface`, `state`.
        Link = "link",
        /// Nodes were separated (`partition`), or joined again (`heal`). Details: `state`.
        Partition = "partition",
        /// A node was powered off or on. Details: `state`.
        Power = "power",
        /// An end of a link was moved to another node or link.
        Move = "moved",
        /// An address was added or removed. Details: `interface`, `address`.
        Address = "address",
        /// A route was added or removed.
        Route = "route",
        /// NATs or the firewall of a node were set or removed, or a NAT was restarted.
        Rules = "rules",
        /// A name server has not found a name, or has had a fault. Details: `name`, `answer`,
        /// `fault`.
        Dns = "dns",
        /// A program was started. Details: `pid`, `program`.
        Spawn = "spawned",
        /// A program has ended. Details: `pid`, `program`, `status` (`exited with status 3`).
        Exit = "exited",
        /// A line that a program has printed. Details: `pid`, `program`, `stream`.
        Log = "log",
        /// A wait of the library began, ended or came to its limit. Details: `state`.
        Wait = "wait",
        /// An event of `tracing`, with its level, target and values.
        Traced = "event",
        /// A span of `tracing` has begun or ended.
        Span = "span",
        /// The test has got the status of a program that has ended. Details: `pid`, `program`.
        Status = "status",
    }
}

impl Event {
    /// Returns an event with this text, whose time and thread are set when it is recorded.
    pub(crate) fn of(kind: EventKind, node: &str, text: impl fmt::Display) -> Self {
        Self { kind, node: node.to_owned(), text: text.to_string(), ..Self::default() }
    }

    /// Returns the value of a detail.
    pub(crate) fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|one| one.name == name).map(|one| one.value.as_str())
    }

    /// Returns the event with one more detail.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.details.push(Detail { name: name.to_owned(), value: value.to_string() });
        self
    }
}
