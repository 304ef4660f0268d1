//! Init: process 1 of the program's namespaces, or the first process that is the program's own.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use crate::sys::fds;
use crate::sys::launch::action::Stage;
use crate::sys::launch::plan::{Person, Plan};
use crate::sys::launch::refusal::{At, Call, Refusal, Refused as _};
use crate::sys::launch::up::{Up, encode, send_refusal};
use crate::sys::process;
use crate::sys::process::{Pid, Side};
use crate::sys::process::{caps, credentials, signals};

/// Returns in the program only, which continues to exec.
pub(crate) fn main(plan: &Plan, up: &Up) {
    let begun = begin(plan, up);
    let report = begun.map_or_else(|refusal| refusal, |()| Refusal::BEGUN);
    drop(send_refusal(up.report, report, &[]));
    let errno = begun.map_or_else(|refusal| refusal.errno, |()| 0);
    let sent = fds::write_once(up.begun.as_fd(), &errno.to_ne_bytes());
    if begun.is_err() || sent.is_err() {
        process::exit_now(1);
    }
}

fn begin(plan: &Plan, up: &Up) -> Result<(), Refusal> {
    process::die_with_parent().on(Call::DieWithParent)?;
    // Without this, a program that may not be read has its files in /proc owned by root.
    process::make_dumpable().on(Call::Dumpable)?;
    plan.maps.write_own()?;
    if !matches!(fds::read_available(&up.go, &mut [0]), Ok(Some(1))) {
        process::exit_now(1);
    }
    if plan.own_session {
        process::lead_own_session().on(Call::Session)?;
    }
    let umask = credentials::change_umask(0);
    let mut stage = Stage::new()?;
    for (number, action) in plan.steps.iter().enumerate() {
        let at = At::Step(u32::try_from(number).unwrap_or(u32::MAX));
        stage.perform(action).map_err(|refusal| Refusal { at, ..refusal })?;
    }
    drop(stage);
    let arrived = signals::descriptor().on(Call::SignalDescriptor)?;
    // The program then cannot trace init or write in its name. Its own exec makes it dumpable
    // again.
    process::make_undumpable().on(Call::Dumpable)?;
    match process::clone(libc::SIGCHLD).on(Call::Fork)? {
        Side::Child => {
            plan.person.become_it()?;
            if let Some(directory) = &plan.directory {
                fds::enter_directory(directory).on(Call::ChangeDirectory)?;
            }
            credentials::change_umask(umask);
            // Descriptors may lead out of the program's root.
            fds::close_at_exec_all_but(&plan.passed);
            if up.ignores_children {
                signals::ignore_children();
            }
            signals::set_mask(up.mask).on(Call::SignalMask)
        }
        Side::Parent(program) => supervise(program, up, &arrived),
    }
}

impl Person {
    /// Changes the identity of the program's process.
    fn become_it(&self) -> Result<(), Refusal> {
        if self.dropped != caps::Caps::NONE {
            caps::drop_for_good(self.dropped).on(Call::Capabilities)?;
        }
        if self.change.is_some_and(|(uid, _)| uid != 0) {
            caps::clear_ambient().on(Call::Capabilities)?;
        }
        if self.clear_groups {
            credentials::clear_groups().on(Call::Groups)?;
        }
        if let Some((uid, gid)) = self.change {
            credentials::become_group(gid).on(Call::GroupId)?;
            credentials::become_user(uid).on(Call::UserId)?;
        }
        if self.ambient {
            caps::make_ambient().on(Call::Capabilities)?;
        }
        Ok(())
    }
}

/// Waits for the program and reports its status. The end of init then ends all other processes.
fn supervise(program: Pid, up: &Up, arrived: &OwnedFd) -> ! {
    let own = [up.ended.as_raw_fd(), arrived.as_raw_fd(), up.caller.as_raw_fd()];
    fds::close_all_but([own[0], own[1], own[2], -1]);
    drop(fds::leave_directory());
    drop(process::set_name(c"sandbox init"));
    loop {
        match fds::wait_for_any([Some(arrived), Some(&up.caller), None, None]) {
            Ok([_, false, ..]) => {}
            // The caller has ended.
            Ok(_) | Err(_) => process::exit_now(1),
        }
        while let Some(signal) = signals::next(arrived) {
            if signal.number == libc::SIGCHLD {
                reap(program, up);
            } else if signal.is_from_outside {
                credentials::send(program, signal.number);
            }
        }
    }
}

fn reap(program: Pid, up: &Up) {
    while let Ok(Some((pid, status))) = process::reap() {
        if pid == program {
            let sent = fds::write_once(up.ended.as_fd(), &encode(status));
            process::exit_now(i32::from(sent.is_err()));
        }
    }
}
