//! Reads the processes of a test from `/proc`: what their threads wait for, and what they have
//! open.

mod call;
mod descriptors;
pub(super) mod stat;

use std::io;
use std::os::fd::OwnedFd;

use crate::evidence::facts::Look;
use crate::evidence::facts::process::{Call, Process, Thread};
use crate::examine::budget::Budget;
use crate::examine::gaps::{FILE, OVER, gap};
use crate::examine::processes::call::{About, about};
use crate::examine::subject::Subject;
use crate::sys::fds;
use crate::sys::fds::limited;
use crate::sys::process::Pid;
use crate::sys::{call_names, errno, inspect, process};

/// Most threads in all, and most open files in all and of one process.
const MOST_THREADS: usize = 500;
const MOST_DESCRIPTORS: usize = 2_000;
const MOST_OF_ONE: usize = 1_500;

/// Most bytes of the arguments of a program.
const COMMAND: usize = 4 << 10;

/// Most descriptors of a call.
const MOST_OF_CALL: u64 = 256;

/// Reads all processes in the subject's `/proc` but init and its examiner, that of the test first.
pub(super) fn read(subject: &Subject<'_>, budget: Budget, look: &mut Look) {
    let own = [1, process::id()];
    let names = match fds::names_in(subject.proc) {
        Ok(names) => names,
        Err(error) => return look.gaps.push(gap("the list of processes", &error)),
    };
    let mut pids: Vec<Pid> = names.iter().filter_map(|name| name.parse().ok()).collect();
    pids.retain(|pid| !own.contains(pid));
    pids.sort_unstable_by_key(|pid| (*pid != subject.body, *pid));
    let (threads, descriptors) = (MOST_THREADS, MOST_DESCRIPTORS);
    let mut reading = Reading { subject, budget, threads, descriptors, gaps: Vec::new() };
    for (at, pid) in pids.iter().enumerate() {
        if reading.threads == 0 || budget.is_over() {
            let (left, why) = (pids.len() - at, reading.why());
            look.gaps.push(format!("{left} processes were not read: {why}"));
            break;
        }
        look.processes.extend(reading.process(*pid));
    }
    look.processes.sort_unstable_by_key(|one| one.pid);
    look.gaps.append(&mut reading.gaps);
    look.is_cut |= budget.is_over();
}

struct Reading<'a> {
    subject: &'a Subject<'a>,
    budget: Budget,
    /// Threads and open files that may still be read.
    threads: usize,
    descriptors: usize,
    gaps: Vec<String>,
}

/// A process that is being read.
struct Target {
    pid: Pid,
    /// Its directory in `/proc`.
    place: OwnedFd,
    /// Whether its system calls have the numbers of this program.
    is_native: bool,
    /// The first refusal.
    refusal: Option<String>,
}

impl Reading<'_> {
    /// Reads a process; none if it has ended.
    fn process(&mut self, pid: Pid) -> Option<Process> {
        let place = fds::open_in(self.subject.proc, &pid.to_string()).ok()?;
        let known = stat::stat(&limited::read_text_in(&place, "stat", FILE).ok()?)?;
        let auxv = limited::read_bytes_in(&place, "auxv", 16).unwrap_or_default();
        let is_native = stat::is_native(&auxv);
        let mut target = Target { pid, place, is_native, refusal: None };
        let mut found = Process {
            pid: pid.unsigned_abs(),
            parent: known.parent,
            is_body: pid == self.subject.body,
            name: known.name,
            state: known.state,
            ..Process::default()
        };
        if found.state == "Z" {
            found.status = known.status;
        }
        found.threads = self.threads(&mut target);
        found.descriptors = self.descriptors(&mut target, &found.threads);
        let limits = limited::read_text_in(&target.place, "limits", FILE).unwrap_or_default();
        found.open_files = stat::open_files(&limits);
        // Last: it reads the memory of the process, and may wait for it.
        let command = limited::read_bytes_in(&target.place, "cmdline", COMMAND).unwrap_or_default();
        found.command = stat::command(&command);
        // Of one that has ended there is nothing to see.
        if let Some(refusal) = target.refusal.filter(|_| found.state != "Z") {
            found.is_closed = true;
            let name = &found.name;
            self.gaps.push(format!("process {pid} ({name}) is closed to inspection: {refusal}"));
        }
        Some(found)
    }

    fn threads(&mut self, target: &mut Target) -> Vec<Thread> {
        let mut found = Vec::new();
        let (names, more) = match limited::first_names_in(&target.place, "task", self.threads) {
            Ok(names) => names,
            Err(error) => {
                target.refused("task", &error);
                return found;
            }
        };
        for (at, name) in names.iter().enumerate() {
            if self.budget.is_over() {
                let left = names.len() - at;
                self.gaps.push(format!(
                    "{left} threads of process {} were not read: {OVER}",
                    target.pid
                ));
                break;
            }
            found.extend(target.thread(name));
        }
        if more {
            self.gaps.push(format!(
                "process {} has more threads than were read ({})",
                target.pid,
                found.len()
            ));
        }
        self.threads -= names.len();
        found
    }

    fn why(&self) -> &'static str {
        if self.threads == 0 { "there are too many threads" } else { OVER }
    }
}

impl Target {
    /// Reads a thread; none if it has ended.
    fn thread(&mut self, name: &str) -> Option<Thread> {
        let place = fds::open_in(&self.place, &format!("task/{name}")).ok()?;
        let known = stat::stat(&limited::read_text_in(&place, "stat", FILE).ok()?)?;
        let network = limited::read_link_in(&place, "ns/net");
        let network = network.inspect_err(|error| self.refused("ns/net", error));
        let call = limited::read_text_in(&place, "syscall", FILE);
        let call = call.inspect_err(|error| self.refused("syscall", error)).unwrap_or_default();
        let wchan = limited::read_text_in(&place, "wchan", FILE).unwrap_or_default();
        Some(Thread {
            tid: name.parse().ok()?,
            name: known.name,
            state: known.state,
            network: network.ok().and_then(|link| stat::inode(&link)).unwrap_or(0),
            call: stat::call(&call).map(|call| self.call(call)),
            // The kernel says 0 for none, and for one that it does not report.
            wchan: wchan.trim_end().trim_start_matches('0').to_owned(),
            used: inspect::time_of_ticks(known.ticks),
        })
    }

    fn call(&self, (number, arguments): (u64, Vec<u64>)) -> Call {
        let name = if self.is_native { call_names::name_of(number) } else { None };
        let name = name.unwrap_or_default().to_owned();
        let descriptors = match about(&name, &arguments) {
            About::Descriptors(numbers) => numbers,
            About::Epoll(instance) => self.watched(instance),
            About::Poll(address, count) => {
                call::polled(&self.memory(address, 8 * count.min(MOST_OF_CALL)))
            }
            About::Select(count, sets) => {
                let size = 8 * count.min(4 * MOST_OF_CALL).div_ceil(64);
                let sets = sets.iter().filter(|address| **address != 0);
                let mut all: Vec<i32> =
                    sets.flat_map(|set| call::selected(&self.memory(*set, size))).collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        };
        Call { number, name, arguments, descriptors }
    }

    /// Returns what an epoll instance watches; itself if that is not known.
    fn watched(&self, instance: i32) -> Vec<i32> {
        let info = limited::read_text_in(&self.place, &format!("fdinfo/{instance}"), FILE);
        info.map_or_else(|_| vec![instance], |info| stat::watched(&info))
    }

    fn memory(&self, address: u64, size: u64) -> Vec<u8> {
        let mut bytes = vec![0; size as usize];
        let length = inspect::read_memory(self.pid, address, &mut bytes).unwrap_or(0);
        bytes.truncate(length);
        bytes
    }

    /// Notes that the kernel refuses a file. A process or thread may also have ended.
    fn refused(&mut self, file: &str, error: &io::Error) {
        if matches!(error.raw_os_error(), Some(errno::EACCES | errno::EPERM)) {
            self.refusal.get_or_insert_with(|| gap(file, error));
        }
    }
}
