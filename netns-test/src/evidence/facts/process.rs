//! The processes of a test, and what their threads wait for. Pure.

use std::time::Duration;

use crate::evidence::code::facts;

facts! {
    /// A process.
    struct Process {
        /// Its id in the test's PID namespace.
        pid: u32,
        /// Id of its parent.
        parent: u32,
        /// Whether the test's function runs in it.
        is_body: bool,
        /// `comm` of proc(5).
        name: String,
        /// Its arguments; empty if it has none or closed itself to inspection.
        command: Vec<String>,
        /// Letter of proc(5): `R`, `S`, `D`, `T`, `Z`, …
        state: String,
        /// Exit status of a zombie, as of wait(2); 0 for others.
        status: i32,
        threads: Vec<Thread>,
        descriptors: Vec<Descriptor>,
        /// The limit of open files, if it is known.
        open_files: Option<u64>,
        /// Whether the kernel refuses a look at its system calls and descriptors.
        is_closed: bool,
    }
}

facts! {
    /// A thread.
    struct Thread {
        /// Its id in the test's PID namespace.
        tid: u32,
        name: String,
        state: String,
        /// Inode of its network namespace; 0 if it is unknown.
        network: u64,
        /// Its system call; none if it runs, or if the kernel refuses to say.
        call: Option<Call>,
        /// Kernel function in which it waits; empty if it is unknown. Names differ by kernel.
        wchan: String,
        /// Processor time that it has used.
        used: Duration,
    }
}

facts! {
    /// A system call.
    struct Call {
        number: u64,
        /// Its name; empty if it is unknown.
        name: String,
        arguments: Vec<u64>,
        /// The descriptors that it is about: of `epoll_wait` and `poll` those that are waited for.
        descriptors: Vec<i32>,
    }
}

facts! {
    /// An open file of a process.
    struct Descriptor {
        number: i32,
        /// The link in `/proc/<pid>/fd`: `socket:[123]`, `pipe:[4]`, `anon_inode:[eventpoll]`, or a
        /// path.
        target: String,
        /// For an epoll instance, the descriptors that it watches.
        watched: Vec<i32>,
    }
}

impl Descriptor {
    /// Returns the inode of a socket.
    pub(crate) fn socket(&self) -> Option<u64> {
        self.target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }
}
