//! The monitor: the caller's child, which stays outside of the program's namespaces.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, FromRawFd as _, OwnedFd, RawFd};

use crate::sys::fds;
use crate::sys::launch::init;
use crate::sys::launch::line::Ends;
use crate::sys::launch::maps::Words;
use crate::sys::launch::plan::Plan;
use crate::sys::launch::refusal::{At, Call, Refusal, Refused as _};
use crate::sys::launch::up::{Up, decode, tell};
use crate::sys::ns::nsfs;
use crate::sys::process;
use crate::sys::process::{ALL_NAMESPACES, Pid, Side, Status};
use crate::sys::process::{credentials, signals};

/// The whole way from std's fork to its exec. Comes back in the program, to go on to exec; and in
/// the monitor, with an error, if there will be no program.
pub(crate) fn begin(plan: &Plan, ends: &Ends) -> io::Result<()> {
    let mut words = Words::none();
    let stopped = match start(plan, ends, &mut words) {
        Ok(()) => return Ok(()),
        Err(Stopped::Here(refusal)) => tell(ends.report(), refusal, words.bytes()),
        Err(Stopped::There(errno)) => io::Error::from_raw_os_error(errno),
    };
    if ends.report() >= 0 {
        // The caller has been told. Told by std, it would wait for this process, and panic where
        // somebody else has.
        process::exit_now(1);
    }
    Err(stopped)
}

/// Why there will be no program.
enum Stopped {
    Here(Refusal),
    /// A process further in has told the caller; its error number.
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
    // For who writes the maps of init, which is as dumpable as this process.
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
    // A file system that the caller was in can be unmounted.
    drop(fds::leave_directory());
    let (control, passes_all) = (take(ends.control()), plan.own_session);
    let watched = Watched { caller: Some(caller), control, arrived, ended, passes_all };
    watched.supervise(init)
}

/// The namespace that is refused, tried one by one as long as it takes.
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

/// Init, or the program on its way to exec, has ended without a word.
fn died(init: Pid, ended: &OwnedFd) -> Refusal {
    let mut status = [0; 8];
    let told = fds::read_available(ended, &mut status);
    let own = process::reap_aside(init);
    let told = matches!(told, Ok(Some(8))).then(|| decode(status));
    let signal = match told.or(own) {
        Some(Status::Signaled(signal)) => signal.unsigned_abs(),
        _ => 0,
    };
    let refusal = Refusal::new(Call::Clone, &nix::errno::Errno::ECHILD.into());
    Refusal { at: At::Death(signal), ..refusal }
}

/// Ends init, and with it all that is in its namespaces; how it ended.
fn end(init: Pid) -> Option<Status> {
    process::kill(init);
    process::reap_aside(init)
}

/// Takes a descriptor over that the caller has handed down by its number.
fn take(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: this process has a copy of the caller's descriptor under that number, and owns it
    // nowhere else: what owns it in the caller is never dropped here.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// What the monitor waits for.
struct Watched {
    caller: Option<OwnedFd>,
    control: Option<OwnedFd>,
    arrived: OwnedFd,
    ended: OwnedFd,
    /// Whether the terminal's signals do not reach the program by themselves.
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
                // The caller has ended: nobody is left whose program this is.
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
        let told = fds::read_available(&self.ended, &mut status);
        // All that init has reaped, the kernel has ended before it ends init.
        let own = process::reap_aside(init);
        let told = matches!(told, Ok(Some(8))).then(|| decode(status));
        credentials::end_as(told.or(own).unwrap_or(Status::Signaled(signals::KILL)))
    }

    /// The caller's pipes are the program's alone, and std's must be closed for it to know that the
    /// program runs.
    fn close_others(&self) {
        let control = self.control.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let caller = self.caller.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let (arrived, ended) = (self.arrived.as_raw_fd(), self.ended.as_raw_fd());
        fds::close_all_but([caller, control, arrived, ended]);
    }

    /// A byte means that the program is to end; the end of the stream that the caller does not care.
    fn obey(&mut self, init: Pid) {
        let Some(control) = &self.control else { return };
        match fds::read_available(control, &mut [0]) {
            Ok(Some(length)) if length > 0 => process::kill(init),
            _ => self.control = None,
        }
    }

    /// Signals of the terminal have reached a program of the same group already.
    fn pass_on(&self, init: Pid) {
        while let Some(signal) = signals::next(&self.arrived) {
            let is_own = signal.number == libc::SIGCHLD && !signal.is_sent;
            if (signal.is_sent || self.passes_all) && !is_own {
                credentials::send(init, signal.number);
            }
        }
    }
}
