//! The programs of a lab. One thread starts them all, and they are reaped when the lab ends. The
//! kernel kills a program when the thread that started it ends (`PR_SET_PDEATHSIG` of prctl(2)), so
//! that thread lives as long as the lab.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use crate::diagnose;
use crate::error::{Failure, Result};
use crate::lab::build::etc_files::HOSTS;
use crate::lab::build::etc_files::local::Covered;
use crate::lab::build::etc_files::names::Names;
use crate::lab::fabric::node::LiveNode;
use crate::lab::run::programs::output::{Printer, Source};
use crate::lab::run::programs::process::Program;
use crate::lab::topology::NodeKind;
use crate::sys::lock::lock;

/// State that the handles of all nodes share.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) programs: Arc<Programs>,
    /// Texts of `/etc/hosts`, which change when the lab is extended, a link is moved, or a NAT is
    /// set.
    names: Arc<Mutex<Names>>,
    /// Mount over `/etc/hosts` of the caller, if that is a node.
    covered: Weak<Covered>,
}

/// Programs that have been started, and the threads for them.
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
    pub(crate) fn new(names: Names, covered: Option<&Arc<Covered>>) -> Self {
        let covered = covered.map_or_else(Weak::new, Arc::downgrade);
        Self { programs: Arc::default(), names: Arc::new(Mutex::new(names)), covered }
    }

    /// Returns the text of `/etc/hosts` of a node, by its position.
    pub(crate) fn names_at(&self, node: usize) -> Arc<str> {
        Arc::clone(&lock(&self.names).at(node).hosts)
    }

    /// Writes these names to existing nodes, and uses them in the lab. If a node refuses them, all
    /// get the old ones again.
    pub(crate) fn rename(&self, nodes: &[Arc<LiveNode>], new: Names) -> Result<()> {
        let mut own = lock(&self.names);
        if *own == new {
            return Ok(());
        }
        let give = |(at, node): (usize, &Arc<LiveNode>), names: &Names| -> Result<()> {
            if node.kind() == NodeKind::Local {
                let covered = self.covered.upgrade();
                let given = covered.map_or(Ok(()), |own| own.change(&names.at(at).hosts));
                return Ok(given.map_err(|error| node.failure("write", HOSTS, &error))?);
            }
            // A node that is off gets its names when it comes on.
            let Ok(here) = node.here() else { return Ok(()) };
            Ok(names.give(at, (node.name(), &here))?)
        };
        let given = nodes.iter().enumerate().try_for_each(|one| give(one, &new));
        match given {
            Ok(()) => *own = new,
            Err(_) => nodes.iter().enumerate().for_each(|one| drop(give(one, &own))),
        }
        given
    }
}

impl Programs {
    /// Starts the thread that starts programs, in the namespaces of the caller.
    pub(crate) fn prepare(&self) -> Result<()> {
        self.jobs().map(drop)
    }

    /// Starts `command` from the lab's own thread.
    pub(crate) fn start(&self, command: &mut Command) -> Result<io::Result<Child>> {
        let jobs = self.jobs()?;
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Job { command: std::mem::replace(command, Command::new("")), reply };
        jobs.send(job).map_err(|_| ended())?;
        let (own, started) = answer.recv().map_err(|_| ended())?;
        *command = own;
        Ok(started)
    }

    /// Records a program, which is reaped when the lab ends, even if its handle exists.
    pub(crate) fn note(&self, program: &Arc<Program>) {
        let mut state = lock(&self.0);
        state.started.retain(|program| program.strong_count() > 0);
        state.started.push(Arc::downgrade(program));
    }

    /// Prints what comes from `source` from now on.
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

    /// Starts no program from now on.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0);
        state.has_ended = true;
        let starter = state.starter.take();
        drop(state);
        if let Some(Starter { jobs, thread }) = starter {
            drop(jobs);
            // The thread does not panic.
            drop(thread.join());
        }
    }

    /// Returns the programs on a node that have not ended.
    pub(crate) fn running_on(&self, node: &str) -> Vec<Arc<Program>> {
        let state = lock(&self.0);
        let all = state.started.iter().filter_map(Weak::upgrade);
        all.filter(|program| program.is_on(node) && !program.has_ended()).collect()
    }

    /// Kills and reaps the programs on a node.
    pub(crate) fn end_on(&self, node: &str) {
        let state = lock(&self.0);
        let all: Vec<_> = state.started.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        all.iter().filter(|program| program.is_on(node)).for_each(|program| program.end());
    }

    /// Kills and reaps the remaining programs, and prints all their output.
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
                // The caller waits for the reply.
                drop(reply.send((command, started)));
            }
        };
        let thread = thread::Builder::new().name("lab programs".into()).spawn(work);
        let thread =
            thread.map_err(|error| diagnose::explain("start", "a thread of a lab", &error))?;
        state.starter = Some(Starter { jobs: jobs.clone(), thread });
        Ok(jobs)
    }
}

fn ended() -> Failure {
    Failure::new("start", "a program", "the lab has ended")
}
