//! Threads in the namespaces of a node. A thread that enters other namespaces cannot always come
//! back, so work in them is done on a new thread that ends with the work.

use std::io;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use crate::diagnose;
use crate::error::Failure;
use crate::evidence::here;
use crate::isolation;
use crate::sys::errno;
use crate::sys::ns::ns_set::Place;

/// The name of a thread that is no node's (`comm` of proc(5)).
const NAME: &str = "lab";

/// A thread that was not started, or did not get to its place.
#[derive(Debug)]
pub(crate) enum Refused {
    Start(io::Error),
    Enter(io::Error),
}

impl Refused {
    /// Describes the refusal for an error about `place`, such as `server`.
    pub(crate) fn of(self, place: &str) -> Failure {
        match self {
            Self::Start(error) => {
                diagnose::explain("start", &format!("a thread for {place}"), &error)
            }
            Self::Enter(error) => diagnose::explain("setns", &format!("to {place}"), &error),
        }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Start(error) | Refused::Enter(error) => error,
        }
    }
}

/// Runs `work` on a new thread, and `meanwhile` on the calling one. Returns what `work` returns, or
/// its panic; or the error of starting the thread.
pub(crate) fn scoped<T: Send>(
    name: &str,
    work: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce(),
) -> io::Result<thread::Result<T>> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?;
        meanwhile();
        Ok(thread.join())
    })
}

/// Runs `work` on a new thread in the namespaces of the caller.
pub(crate) fn fresh<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let ended = scoped(NAME, work, || ());
    let ended = ended.map_err(|error| diagnose::explain("start", "a thread of a lab", &error))?;
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `work` on a new thread in `place`. The thread is called `name`, as the node is.
pub(crate) fn in_place<T: Send>(
    place: &Place,
    name: &str,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Refused> {
    let start = || {
        place.enter().map_err(Refused::Enter)?;
        Ok(work())
    };
    let ended = scoped(name, start, || ()).map_err(Refused::Start)?;
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `work` on a new thread in `place`. The thread and the place in an error are called `name`,
/// as the node is.
pub(crate) fn within<T: Send, E: From<Failure> + Send>(
    place: &Place,
    name: &str,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    in_place(place, name, work).map_err(|refused| refused.of(name))?
}

/// Starts a thread called `name`, which enters the node `name` by [`go`].
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Moves the calling thread, which is new, to the node `name`.
///
/// # Panics
///
/// If the kernel refuses it: the thread has no caller that an error could be returned to.
pub(crate) fn go(place: &Place, name: &str) {
    here::set(name);
    if let Err(error) = place.enter() {
        let reason = errno::describe(&error);
        let message = format!("move a thread to node {name}: {reason}");
        isolation::note_lack(&message, "move a thread to", name, &error);
        panic!("{message}");
    }
}
