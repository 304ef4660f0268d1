//! The monitor: the caller's child, which stays outside of the program's namespaces.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, FromRawFd as _, OwnedFd, RawFd};

use crate::sys::fds;
use crate::sys::launch::init;
use crate::sys::launch::line::Ends;
use crate::sys::launch::maps::Words;
use crate::sys::launch::plan::Plan;
use crate::sys::launch::refusal::{At, Call, Refusal, Refused as _};
use crate::sys::launch::up::{Up, decode, send_refusal};
use crate::sys::ns::nsfs;
use crate::sys::process;
use crate::sys::process::{ALL_NAMESPACES, Pid, Side, Status};
use crate::sys::process::{credentials, signals};

/// Runs from std's fork to its exec. Returns in the program, which continues to exec, and with an
/// error in the monitor, if the start has failed.
pub(crate) fn begin(plan: &Plan, ends: &Ends) -> io::Result<()> {
    let mut words = Words::none();
    let stopped = match start(plan, ends, &mut words) {
        Ok(()) => return Ok(()),
        Err(Stopped::Here(refusal)) => send_refusal(ends.report(), refusal, words.bytes()),
        Err(Stopped::There(errno)) => io::Error::from_raw_os_error(errno),
    };
    if ends.report() >= 0 {
        // The caller has its report. If std reported the error, too, it would wait for this
        // process, and panic if that has been reaped already.
        process::exit_now(1);
    }
    Err(stopped)
}

/// The reason for which the start has failed.
enum Stopped {
    Here(Refusal),
    /// Init or the program has reported to the caller; its error number.
    There(i32),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Here(refusal)
    }
}

fn start(plan: &Plan, ends: &Ends, words: &mut Words) -> Result<(), Stopped> {
    let mask = signals::block_all().on(Call::SignalMask)?;
    let (begun, begins) = fds::pipe().on(Call::Pipe)?;
    let (ended, ends_there) = fds::pipe().on(Call::Pipe)?;
    let (go, say_go) = fds::pipe().on(Call::Pipe)?;
    let arrived = signals::descriptor().on(Call::SignalDescriptor)?;
    let ignores_children = signals::stop_ignoring_children();
    let caller = credentials::open_parent(ends.caller()).on(Call::OpenProcess)?;
    let same = caller.try_clone().on(Call::OpenProcess)?;
    // The writer of init's maps needs init to be dumpable, which is inherited.
    process::make_dumpable().on(Call::Dumpable)?;
    if let Some(network) = &plan.network {
        nsfs::enter_network(network).on(Call::JoinNetwork)?;
    }
    let up = Up {
        begun: begins,
        ended: ends_there,
        go,
        report: ends.report(),
        mask,
        ignores_children,
        caller: same,
    };
    let init = match process::clone_into(&plan.namespaces) {
        Ok(Side::Child) => {
            drop((begun, ended, say_go, arrived, caller));
            init::main(plan, &up);
            return Ok(());
        }
        Ok(Side::Parent(pid)) => pid,
        Err(error) => return Err(which(&plan.namespaces, &error).into()),
    };
    drop(up);
    if let Err(refusal) = plan.maps.write_for(init, words) {
        end(init);
        return Err(refusal.into());
    }
    drop(fds::write_once(say_go.as_fd(), &[1]));
    drop(say_go);
    let mut errno = [0; 4];
    match (fds::read_available(&begun, &mut errno), i32::from_ne_bytes(errno)) {
        (Ok(Some(4)), 0) => {}
        (Ok(Some(4)), errno) => {
            end(init);
            return Err(Stopped::There(errno));
        }
        _ => return Err(died(init, &ended).into()),
    }
    drop(begun);
    // Otherwise the working directory would keep the caller's file system from being unmounted.
    drop(fds::leave_directory());
    let (control, passes_all) = (take(ends.control()), plan.own_session);
    let watched = Watched { caller: Some(caller), control, arrived, ended, passes_all };
    watched.supervise(init)
}

/// Finds the namespace that is refused, by trying each.
fn which(namespaces: &[process::Namespace], error: &io::Error) -> Refusal {
    let refusal = Refusal::new(Call::Clone, error);
    let user = process::Namespace::User;
    let with_user = namespaces.contains(&user);
    let refused = ALL_NAMESPACES.iter().position(|one| {
        let tried = if with_user { [user, *one] } else { [*one, *one] };
        namespaces.contains(one) && !can_make(&tried)
    });
    match refused.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => Refusal { at: At::Namespace(at), ..refusal },
        None => refusal,
    }
}

fn can_make(namespaces: &[process::Namespace]) -> bool {
    match process::clone_into(namespaces) {
        Ok(Side::Child) => process::exit_now(0),
        Ok(Side::Parent(pid)) => process::reap_aside(pid).is_some(),
        Err(_) => false,
    }
}

/// Explains that init, or the program before exec, has ended without a report.
fn died(init: Pid, ended: &OwnedFd) -> Refusal {
    let mut status = [0; 8];
    let reported = fds::read_available(ended, &mut status);
    let own = process::reap_aside(init);
    let reported = matches!(reported, Ok(Some(8))).then(|| decode(status));
    let signal = match reported.or(own) {
        Some(Status::Signaled(signal)) => signal.unsigned_abs(),
        _ => 0,
    };
    let refusal = Refusal::new(Call::Clone, &nix::errno::Errno::ECHILD.into());
    Refusal { at: At::Death(signal), ..refusal }
}

/// Kills init, and with it all processes of its PID namespace. Returns its status.
fn end(init: Pid) -> Option<Status> {
    process::kill(init);
    process::reap_aside(init)
}

/// Takes ownership of a descriptor that the caller has passed by number.
fn take(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: this process has a copy of the caller's descriptor under that number, and owns it
    // nowhere else: what owns it in the caller is never dropped here.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// The descriptors that the monitor waits for.
struct Watched {
    caller: Option<OwnedFd>,
    control: Option<OwnedFd>,
    arrived: OwnedFd,
    ended: OwnedFd,
    /// Whether signals of the terminal must be passed on, since the program has its own session.
    passes_all: bool,
}

impl Watched {
    /// Waits for the end of init, and ends as the program did.
    fn supervise(mut self, init: Pid) -> ! {
        self.close_others();
        drop(process::set_name(c"sandbox monitor"));
        loop {
            match fds::wait_for_any([
                Some(&self.ended),
                self.caller.as_ref(),
                self.control.as_ref(),
                Some(&self.arrived),
            ]) {
                Ok([true, ..]) => break,
                // The caller has ended.
                Ok([_, true, ..]) => {
                    process::kill(init);
                    self.caller = None;
                }
                Ok([_, _, true, _]) => self.obey(init),
                Ok([_, _, _, true]) => self.pass_on(init),
                Ok(_) => {}
                Err(_) => {
                    process::kill(init);
                    break;
                }
            }
        }
        let mut status = [0; 8];
        let reported = fds::read_available(&self.ended, &mut status);
        // The kernel ends all processes of the namespace before init.
        let own = process::reap_aside(init);
        let reported = matches!(reported, Ok(Some(8))).then(|| decode(status));
        credentials::end_as(reported.or(own).unwrap_or(Status::Signaled(signals::KILL)))
    }

    /// The caller's pipes are for the program only. Std's pipe must be closed, so that std learns
    /// that exec has succeeded.
    fn close_others(&self) {
        let control = self.control.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let caller = self.caller.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let (arrived, ended) = (self.arrived.as_raw_fd(), self.ended.as_raw_fd());
        fds::close_all_but([caller, control, arrived, ended]);
    }

    /// Kills init if there is a byte. At the end of the stream the caller has dropped its handle,
    /// and the program goes on.
    fn obey(&mut self, init: Pid) {
        let Some(control) = &self.control else { return };
        match fds::read_available(control, &mut [0]) {
            Ok(Some(length)) if length > 0 => process::kill(init),
            _ => self.control = None,
        }
    }

    /// Passes signals on. Those of the terminal have already reached a program of the same process
    /// group.
    fn pass_on(&self, init: Pid) {
        while let Some(signal) = signals::next(&self.arrived) {
            let is_own = signal.number == libc::SIGCHLD && !signal.is_sent;
            if (signal.is_sent || self.passes_all) && !is_own {
                credentials::send(init, signal.number);
            }
        }
    }
}
