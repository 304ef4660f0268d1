//! Waits for what a program does: its lines, its socket, its end.

use std::panic::Location;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Kind, Result};
use crate::lab::fabric::on_thread;
use crate::lab::observe::sockets;
use crate::lab::observe::sockets::{Endpoint, Protocol};
use crate::lab::observe::wait::deadline::{Deadline, Limit};
use crate::lab::observe::wait::limit::Wait;
use crate::lab::observe::wait::mode::WaitMode;
use crate::lab::run::blocked;
use crate::lab::run::programs::process::{NodeChild, Program};
use crate::netlink::sock_diag::{Reader, Wanted};

/// Time for a program to end after it has closed its output.
const END_AFTER_CLOSE: Duration = Duration::from_millis(200);

/// Longest sleep until the deadline is looked at: it may have been stopped.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for a program.
impl<'lab, M: WaitMode> Wait<'lab, NodeChild, M> {
    /// Waits for a line of the program's output, past or future, that `is_match` accepts. A line
    /// counts when its end has been written, so a prompt without a line feed is not seen. Lines of
    /// stdout and stderr count if they are printed (not piped elsewhere).
    ///
    /// # Errors
    ///
    /// At the limit; at once when no line can come any more, as the program has failed or closed
    /// its output. The error has the exit status and the last lines.
    #[track_caller]
    pub fn line(
        &self,
        mut is_match: impl FnMut(&str) -> bool + Send + 'lab,
    ) -> M::Output<'lab, ()> {
        let program = Arc::clone(&self.of.program);
        M::start(Location::caller(), self.limit_of_program(), |deadline| async move {
            let mut seen = 0;
            loop {
                let (own, end) = (Arc::clone(&program), deadline.clone());
                let news = M::step(move || News::after(&own, seen, &end)).await?;
                if news.lines.iter().any(|line| is_match(line)) {
                    return Ok(());
                }
                seen = news.seen;
                if news.is_last {
                    return M::step(move || no_line(&program, &news, &deadline)).await;
                }
            }
        })
    }

    /// Waits until a TCP socket on the program's node listens where other nodes can reach it, or at
    /// the given address, which may be one of loopback. The socket may be of another process: a
    /// daemon often hands it to a child.
    ///
    /// # Errors
    ///
    /// At the limit; at once when the program has ended with a failure. The error has the listening
    /// sockets of the node, the exit status and the last lines.
    #[track_caller]
    pub fn listening(&self, at: impl Into<Endpoint>) -> M::Output<'lab, ()> {
        let (program, end) = (Arc::clone(&self.of.program), at.into());
        M::start(Location::caller(), self.limit_of_program(), move |deadline| {
            M::step(move || listening(&program, end, &deadline))
        })
    }

    /// Waits until the program has ended. All that it wrote is then in [`NodeChild::lines`]. With
    /// the limit [`Duration::MAX`], the wait lasts as long as the program.
    ///
    /// # Errors
    ///
    /// At the limit, with the last lines; ECHILD if other code has reaped the program.
    #[must_use]
    #[track_caller]
    pub fn exit(&self) -> M::Output<'lab, ExitStatus> {
        let program = Arc::clone(&self.of.program);
        M::start(Location::caller(), self.limit_of_program(), move |deadline| {
            M::step(move || {
                if deadline.is_unlimited() {
                    let call = format!("`wait` for {}", program.subject());
                    return blocked::watched(call, || exit(&program, &deadline));
                }
                exit(&program, &deadline)
            })
        })
    }

    fn limit_of_program(&self) -> Limit {
        Limit::new(self.limit, &self.of.program.panics)
    }
}

/// Output of a program since the last look.
struct News {
    lines: Vec<String>,
    /// Number of lines so far, for the next look.
    seen: usize,
    /// Whether no line follows: the limit is over, the program has failed, or has closed its
    /// output.
    is_last: bool,
    is_closed: bool,
    has_failed: bool,
}

impl News {
    /// Waits until there are lines after the first `seen`, or none can come.
    fn after(program: &Program, seen: usize, deadline: &Deadline) -> Result<Self> {
        loop {
            let fed = program.feed.look();
            let (lines, all) = fed.after(seen);
            let (has_ended, is_closed) = (fed.has_ended, fed.is_closed);
            drop(fed);
            // A program that has ended well may have left a daemon that writes on.
            let has_failed =
                has_ended && program.try_wait()?.is_some_and(|status| !status.success());
            let is_last = has_failed || is_closed || deadline.is_over();
            if is_last || !lines.is_empty() {
                return Ok(Self { lines, seen: all, is_last, is_closed, has_failed });
            }
            let fed = program.feed.look();
            let is_old = fed.after(seen).0.is_empty()
                && (fed.has_ended, fed.is_closed) == (has_ended, is_closed);
            if is_old {
                drop(program.feed.wait(fed, deadline.left().min(PAUSE)));
            }
        }
    }
}

fn no_line(program: &Program, news: &News, deadline: &Deadline) -> Result<()> {
    if news.is_closed {
        // Most programs end right after they close their output: the error can then have the
        // status.
        drop(exit(program, &Deadline::new(END_AFTER_CLOSE.min(deadline.left()))));
    }
    let (reason, kind) = if news.has_failed || news.is_closed {
        ("no output line matches".to_owned(), Kind::Other)
    } else {
        (format!("no output line matches {deadline}"), deadline.kind())
    };
    Err(program.not_found("print a line", &reason, &[]).of(kind).into())
}

fn listening(program: &Program, end: Endpoint, deadline: &Deadline) -> Result<()> {
    on_thread::within(&program.network, &program.node, || {
        let (mut reader, mut shown) = (Reader::open(), Vec::new());
        let found = deadline.poll(|| {
            let sockets = sockets::read(&mut reader, Wanted::Services, &program.node)?;
            if sockets.iter().any(|socket| socket.serves(Protocol::Tcp, end)) {
                return Ok(Some(true));
            }
            shown = sockets::services(&sockets, &program.node, Protocol::Tcp, end);
            Ok(program.try_wait()?.filter(|status| !status.success()).map(|_| false))
        })?;
        let (reason, kind) = match found {
            Some(true) => return Ok(()),
            Some(false) => ("nothing listens there".to_owned(), Kind::Other),
            None => (format!("nothing listens there {deadline}"), deadline.kind()),
        };
        let failure = program.not_found(&format!("listen on {end}"), &reason, &shown);
        Err(failure.of(kind).into())
    })
}

fn exit(program: &Program, deadline: &Deadline) -> Result<ExitStatus> {
    let mut fed = program.feed.look();
    while !fed.has_ended && !deadline.is_over() {
        fed = program.feed.wait(fed, deadline.left().min(PAUSE));
    }
    drop(fed);
    if let Some(status) = program.try_wait()? {
        return Ok(status);
    }
    let failure = program.not_found("end", &format!("it runs {deadline}"), &[]);
    Err(failure.of(deadline.kind()).into())
}
