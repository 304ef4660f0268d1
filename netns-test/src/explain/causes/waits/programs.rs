//! Programs that are stopped, or have ended and are not waited for. Pure.

use crate::evidence::facts::process::Process;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::waits::decisive::decisive;
use crate::explain::scene::{Scene, node_name, process_name};
use crate::explain::wait::Wait;

pub(super) fn causes(scene: &Scene<'_>, waits: &[Wait<'_>]) -> Vec<Cause> {
    let others = || scene.processes.iter().filter(|process| !process.is_body);
    let stopped = others().find(|process| matches!(process.state.as_str(), "T" | "t"));
    let dead = others().find(|process| process.state == "Z" && process.status != 0);
    let stopped = stopped.map(|process| self::stopped(scene, process, waits));
    stopped.into_iter().chain(dead.map(|process| self::dead(scene, process))).collect()
}

/// Explains a stopped program. That the test waits for it is certain if it waits on a connection to
/// it, or for its end.
fn stopped(scene: &Scene<'_>, process: &Process, waits: &[Wait<'_>]) -> Cause {
    let name = process_name(process);
    let node = node_of(scene, process);
    let has = |inode: u64| process.descriptors.iter().any(|one| one.socket() == Some(inode));
    let is_its = |wait: &&Wait<'_>| {
        wait.socket
            .and_then(|(_, socket)| scene.peer(socket))
            .is_some_and(|(_, peer)| has(peer.inode))
    };
    let waiting = decisive(scene, waits).map(|(wait, _)| wait).filter(is_its);
    let here = if node.is_empty() { String::new() } else { format!(" on {node}") };
    let mut cause = Cause::new(
        Certainty::if_sure(waiting.is_some()),
        format!("{name}{here} is stopped, and does nothing"),
    )
    .shown_by(format!("its state is {} (SIGSTOP, SIGTSTP, or a tracer)", process.state));
    if let Some(wait) = waiting {
        cause = cause.shown_by(format!("{} waits for it {}", wait.who(scene), wait.place()));
    }
    cause.try_to("let it continue: SIGCONT").on(node)
}

/// Explains a program that has ended badly and is not waited for.
fn dead(scene: &Scene<'_>, process: &Process) -> Cause {
    let (name, node) = (process_name(process), node_of(scene, process));
    let here = if node.is_empty() { String::new() } else { format!(" on {}", node_name(node)) };
    let how = match (process.status & 0x7f, process.status >> 8 & 0xff) {
        (0, code) => format!("has exited with status {code}"),
        (signal, _) => format!("was killed by signal {signal}"),
    };
    Cause::likely(format!("{name}{here} {how}"))
        .shown_by("it is a zombie: no process has waited for it yet")
        .try_to("look at its output, and wait for its end where its status matters")
        .on(node)
}

fn node_of<'a>(scene: &Scene<'a>, process: &Process) -> &'a str {
    process.threads.first().and_then(|thread| scene.node_of(thread)).unwrap_or_default()
}
