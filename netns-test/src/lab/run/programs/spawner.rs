//! The programs of a lab: started by one thread, whose end the kernel answers by killing them
//! (`PR_SET_PDEATHSIG` is bound to the thread that forks, not to its process), and reaped when the
//! lab ends.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use crate::error::{Failure, Result};
use crate::lab::run::programs::output::{Printer, Source};
use crate::lab::run::programs::process::Program;
use crate::sys::errno;
use crate::sys::lock::lock;

/// What the hosts of a lab share while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) programs: Arc<Programs>,
    /// The text of `/etc/hosts`, which changes when the lab is extended.
    names: Arc<Mutex<Arc<str>>>,
}

/// Those that have been started, and the threads that this takes.
#[derive(Debug, Default)]
pub(crate) struct Programs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    starter: Option<Starter>,
    printer: Option<Printer>,
    started: Vec<Weak<Program>>,
    has_ended: bool,
}

#[derive(Debug)]
struct Starter {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Job {
    command: Command,
    reply: SyncSender<(Command, io::Result<Child>)>,
}

impl Common {
    pub(crate) fn new(names: &str) -> Self {
        Self { programs: Arc::default(), names: Arc::new(Mutex::new(names.into())) }
    }

    /// The text of `/etc/hosts`.
    pub(crate) fn names(&self) -> Arc<str> {
        Arc::clone(&lock(&self.names))
    }

    pub(crate) fn rename(&self, names: &str) {
        *lock(&self.names) = names.into();
    }
}

impl Programs {
    /// Starts the thread that starts programs, so that they begin where the caller is.
    pub(crate) fn prepare(&self) -> Result<()> {
        self.jobs().map(drop)
    }

    /// Starts `command`, from the lab's own thread.
    pub(crate) fn start(&self, command: &mut Command) -> Result<io::Result<Child>> {
        let jobs = self.jobs()?;
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Job { command: std::mem::replace(command, Command::new("")), reply };
        jobs.send(job).map_err(|_| ended())?;
        let (own, started) = answer.recv().map_err(|_| ended())?;
        *command = own;
        Ok(started)
    }

    /// Has a program reaped when the lab ends, whoever holds it.
    pub(crate) fn note(&self, program: &Arc<Program>) {
        let mut state = lock(&self.0);
        state.started.retain(|program| program.strong_count() > 0);
        state.started.push(Arc::downgrade(program));
    }

    /// Has what comes from `source` printed.
    pub(crate) fn print(&self, source: Source) -> Result<()> {
        let mut state = lock(&self.0);
        if state.has_ended {
            return Err(ended().into());
        }
        let printer = match &mut state.printer {
            Some(printer) => printer,
            none => none.insert(Printer::start()?),
        };
        printer.attend(source);
        Ok(())
    }

    /// Starts nothing from now on.
    pub(crate) fn start_no_more(&self) {
        let mut state = lock(&self.0);
        state.has_ended = true;
        let starter = state.starter.take();
        drop(state);
        if let Some(Starter { jobs, thread }) = starter {
            drop(jobs);
            // It does not panic.
            drop(thread.join());
        }
    }

    /// Kills and reaps those that have been started on a host.
    pub(crate) fn end_on(&self, host: &str) {
        let state = lock(&self.0);
        let all: Vec<_> = state.started.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        all.iter().filter(|program| program.is_on(host)).for_each(|program| program.end());
    }

    /// Kills and reaps what is left, and prints all that has been written.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.0);
        let (started, printer) = (std::mem::take(&mut state.started), state.printer.take());
        drop(state);
        for program in started.iter().filter_map(Weak::upgrade) {
            program.end();
        }
        if let Some(printer) = printer {
            printer.end();
        }
    }

    fn jobs(&self) -> Result<Sender<Job>> {
        let mut state = lock(&self.0);
        if state.has_ended {
            return Err(ended().into());
        }
        if let Some(starter) = &state.starter {
            return Ok(starter.jobs.clone());
        }
        let (jobs, receiver) = mpsc::channel::<Job>();
        let work = move || {
            for Job { mut command, reply } in receiver {
                let started = command.spawn();
                // Whoever asked waits for it.
                drop(reply.send((command, started)));
            }
        };
        let thread = thread::Builder::new().name("lab programs".into()).spawn(work);
        let thread =
            thread.map_err(|error| errno::failure("start", "a thread of a lab", &error))?;
        state.starter = Some(Starter { jobs: jobs.clone(), thread });
        Ok(jobs)
    }
}

fn ended() -> Failure {
    Failure::new("start", "a program", "the lab has ended")
}
