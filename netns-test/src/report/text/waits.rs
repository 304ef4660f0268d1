//! Who waits for what when the time limit is over. Pure.

use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::process::{Call, Process, Thread};
use crate::evidence::facts::{Facts, Look, Reason};
use crate::report::stacks;
use crate::report::stacks::Frame;
use crate::report::text::files;
use crate::report::text::page::{Rank, Section};

/// Most rows, and descriptors of one.
const MOST: usize = 12;
const MOST_FILES: usize = 4;

/// Most functions of all threads, and of one.
const MOST_CALLS: usize = 16;
const MOST_OF_ONE: usize = 4;

/// Most threads that are looked at.
const MOST_THREADS: usize = 1_000;

/// Bytes of a thread's name that the kernel keeps.
const NAME: usize = 15;

/// Thread, and what it waits for.
struct Row {
    /// Place among the others.
    order: u8,
    text: String,
    /// Id of the thread, if it is one of the test's process.
    of_body: Option<u32>,
}

/// Returns the threads of a test whose time was over, and what they wait for.
pub(crate) fn section(ending: &Ending, facts: &Facts) -> Section {
    let look = facts.look().filter(|look| look.reason == Reason::TimeLimit);
    let Some(look) = look.filter(|_| ending.kind == EndKind::TimedOut) else {
        return Section::default();
    };
    let stacks = facts.stacks.as_ref().map(stacks::of_threads).unwrap_or_default();
    let mut waiting: Vec<Row> = look
        .processes
        .iter()
        .flat_map(|process| of_process(look, ending, process))
        .take(MOST_THREADS)
        .collect();
    waiting.sort_by_key(|row| row.order);
    let count = waiting.len();
    let mut rows = Vec::new();
    let mut room = MOST_CALLS;
    for row in waiting.into_iter().take(MOST) {
        rows.push(row.text);
        let calls = row.of_body.and_then(|tid| stacks.get(&tid)).into_iter().flatten();
        let calls = calls.take(MOST_OF_ONE.min(room)).map(call);
        let before = rows.len();
        rows.extend(calls);
        room -= rows.len() - before;
    }
    if count > MOST {
        rows.push(format!("  ... {} more", count - MOST));
    }
    if let Some(idle) = silence(facts, look).filter(|_| count > 0) {
        rows.push(idle);
    }
    Section { title: "Who waits for what".into(), rows, least: 4, rank: Rank::Waits }
}

/// Returns a row about a function of the user's that has been called.
fn call(frame: &Frame) -> String {
    let Frame { function, place } = frame;
    let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
    format!("    in {function}{place}")
}

/// Returns a row for each thread.
fn of_process(look: &Look, ending: &Ending, process: &Process) -> Vec<Row> {
    if process.state == "Z" {
        let text = format!("  process {} (pid {}): {}", process.name, process.pid, zombie(process));
        return vec![Row { order: 2, text, of_body: None }];
    }
    if process.threads.is_empty() {
        return Vec::new();
    }
    let threads = process.threads.iter().filter(|thread| {
        // The process's first thread only joins the test's thread.
        let joins = thread.tid == process.pid && process.threads.len() > 1;
        !process.is_body || !joins && !is_of_library(thread)
    });
    threads.take(MOST_THREADS).map(|thread| of_thread(look, ending, process, thread)).collect()
}

/// Returns whether a thread of the test's process is the library's own.
fn is_of_library(thread: &Thread) -> bool {
    matches!(thread.name.as_str(), "netns-link" | "netns-carrier")
}

fn zombie(process: &Process) -> String {
    let end = match (process.status & 0x7f, process.status >> 8 & 0xff) {
        (0, code) => format!("exited with status {code}"),
        (signal, _) => format!("was killed by signal {signal}"),
    };
    format!("{end}, and no process has waited for it")
}

fn of_thread(look: &Look, ending: &Ending, process: &Process, thread: &Thread) -> Row {
    let node = look.networks.iter().find(|one| one.inode == thread.network && one.inode != 0);
    let node = node.map_or("", |network| network.node.as_str());
    let is_tests = tests_thread(ending, process) == Some(thread.tid);
    let who = match (process.is_body, is_tests) {
        (true, true) => format!("the test's thread (tid {})", thread.tid),
        (true, false) if thread.tid == process.pid => {
            format!("the process's first thread (tid {})", thread.tid)
        }
        (true, false) => format!("thread {} (tid {})", thread.name, thread.tid),
        (false, _) => format!("{} (pid {})", process.name, process.pid),
    };
    let node = if node.is_empty() { String::new() } else { format!("{node}: ") };
    let waits = waits_for(look, process, thread);
    let order = match (is_tests, is_idle(thread)) {
        (true, _) => 0,
        (_, false) => 1,
        (_, true) => 3,
    };
    let of_body = process.is_body.then_some(thread.tid);
    Row { order, text: format!("  {node}{who}: {waits}"), of_body }
}

/// Returns the thread that runs the test's function: the first of its name, which its own threads
/// have too unless they are named.
fn tests_thread(ending: &Ending, process: &Process) -> Option<u32> {
    let own = ending.test.as_bytes();
    let own = &own[..own.len().min(NAME)];
    let named = process.threads.iter().filter(|one| one.name.as_bytes() == own);
    let tids = named.map(|one| one.tid).filter(|tid| *tid != process.pid);
    tids.min().filter(|_| process.is_body)
}

/// Returns whether a thread waits for work, as those of a runtime do.
fn is_idle(thread: &Thread) -> bool {
    let call = thread.call.as_ref().map_or("", |call| call.name.as_str());
    call.starts_with("futex") || call.starts_with("epoll_")
}

fn waits_for(look: &Look, process: &Process, thread: &Thread) -> String {
    let Some(call) = &thread.call else {
        return match thread.state.as_str() {
            "R" => "runs".into(),
            "T" | "t" => "is stopped".into(),
            _ if process.is_closed => "the kernel refuses a look at it".into(),
            _ if thread.wchan.is_empty() => format!("state {}", thread.state),
            _ => format!("state {}, in {} of the kernel", thread.state, thread.wchan),
        };
    };
    let name = match &call.name {
        name if name.is_empty() => format!("system call {}", call.number),
        name => name.clone(),
    };
    if thread.state == "T" || thread.state == "t" {
        return format!("is stopped, in {name}");
    }
    let meaning = meaning(call);
    let files = of_files(look, process, call);
    let parts = [name, meaning.to_owned(), files];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Returns what a system call waits for, if its name does not say so.
fn meaning(call: &Call) -> &'static str {
    match call.name.as_str() {
        "futex" | "futex_waitv" => "for a lock, a channel or the end of a thread",
        "accept" | "accept4" => "for a connection",
        "connect" => "for an answer",
        "recvfrom" | "recvmsg" | "recvmmsg" | "read" | "readv" => "for data",
        "sendto" | "sendmsg" | "write" | "writev" => "for room to send",
        "wait4" | "waitid" => "for the end of a process",
        "nanosleep" | "clock_nanosleep" => "for time to pass",
        _ => "",
    }
}

fn of_files(look: &Look, process: &Process, call: &Call) -> String {
    // Of many, those that wake a runtime are its own: the user has not opened them.
    let is_poll = call.name.starts_with("epoll_") || call.descriptors.len() > 1;
    let is_own = |number: &&i32| is_poll && files::wakes(look, process, **number);
    let own = call.descriptors.iter().filter(is_own).count();
    let users = call.descriptors.iter().filter(|number| !is_own(number));
    let files = users.clone().map(|&number| {
        let what = files::descriptor(look, process, number);
        if what.is_empty() { format!("fd {number}") } else { format!("fd {number}: {what}") }
    });
    let count = call.descriptors.len() - own;
    let mut texts: Vec<String> = files.take(MOST_FILES).collect();
    if count > MOST_FILES {
        texts.push(format!("{} more", count - MOST_FILES));
    }
    match (count, own) {
        (0, 1..) => "for events of its runtime only".to_owned(),
        _ => texts.join("; "),
    }
}

/// Returns for how long nothing has happened.
fn silence(facts: &Facts, look: &Look) -> Option<String> {
    let last = facts.events.iter().map(|event| event.at).filter(|at| *at <= look.at).max()?;
    let since = (look.at - last).as_secs_f64();
    Some(format!("  The last event was {since:.1} s before."))
}
