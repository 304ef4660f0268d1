//! The waits for what a program does: its lines, its socket, its end.

use std::process::ExitStatus;
use std::time::Duration;

use crate::error::{Kind, Result, located};
use crate::lab::observe::sockets;
use crate::lab::observe::sockets::{Endpoint, Protocol};
use crate::lab::observe::wait::limit::{Deadline, There, Within};
use crate::lab::run::blocked;
use crate::lab::run::process::NodeChild;

/// What a program needs to end when it has closed its output.
const A_MOMENT: Duration = Duration::from_millis(200);

/// The waits of a program, with a time of one's own.
impl Within<'_, NodeChild> {
    /// See [`NodeChild::wait_ready`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_ready(&self, is_it: impl FnMut(&str) -> bool) -> Result<()> {
        located(blocked::explained(|| self.try_wait_ready(is_it)))
    }

    fn try_wait_ready(&self, mut is_it: impl FnMut(&str) -> bool) -> Result<()> {
        let (program, deadline) = (&*self.of.program, Deadline::new(self.limit));
        let mut seen = 0;
        loop {
            let fed = program.feed.look();
            let (new, all) = fed.after(seen);
            let (has_ended, is_closed) = (fed.has_ended, fed.is_closed);
            drop(fed);
            if new.iter().any(|line| is_it(line)) {
                return Ok(());
            }
            seen = all;
            // One that has become a daemon goes on to write.
            let failed = has_ended && program.try_wait()?.is_some_and(|status| !status.success());
            if failed || is_closed || deadline.is_over() {
                if is_closed {
                    // Most end at once when they have closed their output: that is worth telling.
                    drop(self.of.within(A_MOMENT.min(deadline.left())).try_wait_exit());
                }
                let reason = if failed || is_closed {
                    "no line of its output is the one".to_owned()
                } else {
                    format!("no line of its output is the one {deadline}")
                };
                let failure = program.not_found("be ready", &reason, &[]);
                let kind = if failed || is_closed { Kind::Other } else { Kind::Timeout };
                return Err(failure.of(kind).into());
            }
            let fed = program.feed.look();
            let is_old = fed.after(seen).0.is_empty()
                && (fed.has_ended, fed.is_closed) == (has_ended, is_closed);
            if is_old {
                drop(program.feed.wait(fed, deadline.left()));
            }
        }
    }

    /// See [`NodeChild::wait_listening`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_listening(&self, at: impl Into<Endpoint>) -> Result<()> {
        located(self.try_wait_listening(at.into()))
    }

    fn try_wait_listening(&self, end: Endpoint) -> Result<()> {
        let (program, deadline) = (&*self.of.program, Deadline::new(self.limit));
        let there = There { place: &program.network, host: &program.host };
        there.run(|| {
            let mut shown = Vec::new();
            let found = deadline.poll(|| {
                let sockets = sockets::read(&program.host)?;
                if sockets.iter().any(|socket| socket.serves(Protocol::Tcp, end)) {
                    return Ok(Some(true));
                }
                shown = sockets::services(&sockets, &program.host, Protocol::Tcp, end);
                Ok(program.try_wait()?.filter(|status| !status.success()).map(|_| false))
            })?;
            let (reason, kind) = match found {
                Some(true) => return Ok(()),
                Some(false) => ("nothing listens there".to_owned(), Kind::Other),
                None => (format!("nothing listens there {deadline}"), Kind::Timeout),
            };
            let failure = program.not_found(&format!("listen on {end}"), &reason, &shown);
            Err(failure.of(kind).into())
        })
    }

    /// See [`NodeChild::wait_exit`].
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn wait_exit(&self) -> Result<ExitStatus> {
        located(blocked::explained(|| self.try_wait_exit()))
    }

    pub(crate) fn try_wait_exit(&self) -> Result<ExitStatus> {
        let (program, deadline) = (&*self.of.program, Deadline::new(self.limit));
        let mut fed = program.feed.look();
        while !fed.has_ended && !deadline.is_over() {
            fed = program.feed.wait(fed, deadline.left());
        }
        drop(fed);
        match program.try_wait()? {
            Some(status) => Ok(status),
            None => {
                let failure = program.not_found("end", &format!("it runs {deadline}"), &[]);
                Err(failure.of(Kind::Timeout).into())
            }
        }
    }
}
