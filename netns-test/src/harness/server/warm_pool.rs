//! Spares: sandboxes that stand before a test asks for one, made while the tests before it run.
//!
//! A test must not be able to tell one from a sandbox that is made when it asks. What that takes
//! over of the machine is compared, and where anything has changed the spare is not used.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnose;
use crate::harness::server::launch::Launched;
use crate::harness::server::test::Request;
use crate::isolate::{Copied, Identity, Setting};
use crate::sys::fds;
use crate::sys::fds::{Place, Until};
use crate::sys::process;
use crate::sys::process::Pid;

/// The most spares of each setting that are made without being asked for, on a machine with one
/// processor. More than there are processors are not made in the time of one test anyway, and those
/// that are left at the end of a run were made for nothing.
const MOST_ON_ONE: usize = 2;

/// Tests that ask before one is made, so that a run of one test pays for none.
const FIRST_ASKED: usize = 2;

/// Where fewer processes or namespaces are allowed, all of them are left to tests: a body that goes
/// without one for a spare's sake tells nobody.
const ALLOWED: u64 = 1024;

/// The most requests that pass without spares after a setback.
const LONGEST_REST: usize = 1024;

/// How long after a test has taken its order the next one is made, at the earliest. The test starts a
/// thread in this time; if the kernel puts that behind the server on a processor, it waits for the end of
/// the system call that makes the namespaces, which takes a millisecond.
const A_MOMENT: Duration = Duration::from_micros(200);

/// All spares of a server.
#[derive(Debug)]
pub(crate) struct Spares {
    /// How many are wanted of each setting, if that is not left to the demand.
    fixed: Option<usize>,
    /// Tells that something was mounted or unmounted (`proc_pid_mounts(5)`). Without it there are
    /// no spares.
    mounts: Option<OwnedFd>,
    kinds: Vec<Kind>,
    /// How many there may be of each kind, once that is known of the machine.
    most: Option<usize>,
    /// Whether all that the machine allows is left to tests, once that is asked for.
    is_tight: OnceCell<bool>,
    /// How many more requests pass before the next one is made.
    rest: usize,
    /// When the next one may be made, at the earliest.
    not_before: Instant,
    /// How many will pass after the next setback.
    next_rest: usize,
}

/// Those of one setting.
#[derive(Debug)]
struct Kind {
    setting: Setting,
    /// How many tests have asked.
    asked: usize,
    /// How many of them there were at the same time.
    peak: usize,
    /// Where the last one was to run, and by which path, if that is known. Not a descriptor, which would
    /// keep a mount there in use.
    place: Option<Place>,
    directory: PathBuf,
    ready: VecDeque<Spare>,
}

/// A sandbox whose body waits for the order for a test.
#[derive(Debug)]
struct Spare {
    init: Pid,
    hand: OwnedFd,
    /// Who its body is: users and their ids may change.
    identity: Identity,
    surroundings: Surroundings,
}

/// What a sandbox has of the machine from the moment in which it is made.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings {
    directory: Place,
    copied: Copied,
}

impl Surroundings {
    /// As they are now for a test that runs in `directory`; nothing if they cannot be known.
    fn now(directory: &OwnedFd) -> Option<Self> {
        Some(Self { directory: fds::place_of(directory).ok()?, copied: Copied::now()? })
    }

    /// Whether they are so now for a test that runs in `directory`.
    fn are_so_for(&self, directory: Option<Place>) -> bool {
        directory == Some(self.directory) && self.copied.is_so_still()
    }
}

impl Spares {
    /// None yet. `fixed` is how many there are to be, if not by demand.
    pub(crate) fn new(fixed: Option<usize>) -> Self {
        let mounts = fds::open_mounts().ok();
        Self {
            fixed,
            mounts,
            kinds: Vec::new(),
            most: fixed,
            is_tight: OnceCell::new(),
            rest: 0,
            not_before: Instant::now(),
            next_rest: 1,
        }
    }

    /// Whether there are to be some in any case.
    pub(crate) fn are_asked_for(&self) -> bool {
        self.fixed.is_some_and(|fixed| fixed > 0)
    }

    /// A test has asked, when `running` others of the same setting have not ended.
    pub(crate) fn note_request(&mut self, request: &Request, running: usize) {
        if self.fixed == Some(0) {
            return;
        }
        self.rest = self.rest.saturating_sub(1);
        let kind = self.kind(request.setting);
        kind.asked += 1;
        kind.peak = kind.peak.max(running + 1);
        let place = fds::place_of(&request.directory).ok();
        if place.is_none() || place != kind.place {
            kind.directory = fds::path_of(&request.directory).unwrap_or_default();
            kind.place = place;
        }
    }

    /// The setting of which there are fewer than there should be.
    pub(crate) fn wanted(&self) -> Option<Setting> {
        if self.rest > 0 || self.mounts.is_none() {
            return None;
        }
        let lacks = |kind: &&Kind| {
            let (target, first) = match self.fixed {
                Some(fixed) => (fixed, 1),
                None => (kind.peak.min(self.most.unwrap_or(MOST_ON_ONE)), FIRST_ASKED),
            };
            kind.asked >= first && kind.ready.len() < target
        };
        self.kinds.iter().find(lacks).map(|kind| kind.setting)
    }

    /// Has `launch` make one of this setting. If it cannot be made, nobody is told: the next test
    /// that asks gets a sandbox of its own, or the reason why not.
    pub(crate) fn make(
        &mut self,
        setting: Setting,
        launch: impl FnOnce(&OwnedFd) -> Option<Launched>,
    ) {
        let most = self.most.unwrap_or_else(|| if self.is_tight() { 0 } else { processors() });
        self.most = Some(most);
        if most == 0 {
            return;
        }
        self.forget_changes_of_mounts();
        let made = self.kind(setting).place().and_then(|(directory, surroundings)| {
            let Launched { init, identity, hand, .. } = launch(&directory)?;
            Some(Spare { init, hand: hand?, identity, surroundings })
        });
        match made {
            Some(spare) => self.kind(setting).ready.push_back(spare),
            None => self.note_setback(),
        }
    }

    /// Whether so little is allowed that a test could miss what something else of ours has.
    pub(crate) fn is_tight(&self) -> bool {
        *self.is_tight.get_or_init(|| diagnose::has_room_for_fewer_than(ALLOWED))
    }

    /// Those up to now, before the first spare is made.
    fn forget_changes_of_mounts(&self) {
        if let Some(mounts) = self.mounts.as_ref().filter(|_| self.len() == 0) {
            drop(fds::wait(&[Until::HungUp(mounts.as_fd())], Some(Duration::ZERO)));
        }
    }

    /// What hangs up when the mounts have changed and a spare has not.
    pub(crate) fn change_of_mounts(&self) -> Option<BorrowedFd<'_>> {
        self.mounts.as_ref().filter(|_| self.len() > 0).map(|mounts| mounts.as_fd())
    }

    /// Gives the request to a spare whose body is who `identity` says; its init, and where it was
    /// told.
    pub(crate) fn hand_over(
        &mut self,
        request: &Request,
        identity: impl FnOnce() -> Option<Identity>,
    ) -> Option<(Pid, OwnedFd)> {
        if request.is_returned || self.kind(request.setting).ready.is_empty() {
            return None;
        }
        let directory = fds::place_of(&request.directory).ok();
        let identity = identity();
        let mut is_setback = false;
        while let Some(spare) = self.kind(request.setting).ready.pop_front() {
            let is_same = spare.surroundings.are_so_for(directory)
                && identity.as_ref() == Some(&spare.identity);
            if is_same && request.hand_to(&spare.hand).is_ok() {
                self.note_use();
                return Some((spare.init, spare.hand));
            }
            process::kill(spare.init);
            // What has changed for one has changed for all: that counts once.
            if !std::mem::replace(&mut is_setback, true) {
                self.note_setback();
            }
        }
        None
    }

    /// Whether `init` was one of them; it has ended.
    pub(crate) fn forget(&mut self, init: Pid) -> bool {
        let before = self.len();
        for kind in &mut self.kinds {
            kind.ready.retain(|spare| spare.init != init);
        }
        let is_one = self.len() < before;
        if is_one {
            self.note_setback();
        }
        is_one
    }

    /// Ends all of them, as something else is short or has changed; whether there were any.
    pub(crate) fn discard(&mut self) -> bool {
        let inits = self.take_all();
        inits.iter().copied().for_each(process::kill);
        if !inits.is_empty() {
            self.note_setback();
        }
        !inits.is_empty()
    }

    /// A test has begun in one.
    pub(crate) fn note_begin(&mut self) {
        self.not_before = Instant::now() + A_MOMENT;
    }

    /// When one may be made.
    pub(crate) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Ends all of them, for good.
    pub(crate) fn end(&mut self) {
        self.take_all().into_iter().for_each(process::kill);
    }

    /// One could not be made, or be used: after that it is better to make none for a while.
    fn note_setback(&mut self) {
        // Another directory may have that path now.
        self.kinds.iter_mut().for_each(|kind| kind.place = None);
        self.rest = self.next_rest;
        self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
    }

    /// One was of use: setbacks of long ago count for less.
    fn note_use(&mut self) {
        self.next_rest = (self.next_rest / 2).max(1);
    }

    pub(crate) fn len(&self) -> usize {
        self.kinds.iter().map(|kind| kind.ready.len()).sum()
    }

    fn take_all(&mut self) -> Vec<Pid> {
        let all = self.kinds.iter_mut().flat_map(|kind| kind.ready.drain(..));
        all.map(|spare| spare.init).collect()
    }

    fn kind(&mut self, setting: Setting) -> &mut Kind {
        let known = self.kinds.iter().position(|kind| kind.setting == setting);
        let place = known.unwrap_or_else(|| {
            self.kinds.push(Kind::new(setting));
            self.kinds.len() - 1
        });
        &mut self.kinds[place]
    }
}

/// How many of each kind can be made while tests run.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from).max(MOST_ON_ONE)
}

impl Kind {
    fn new(setting: Setting) -> Self {
        Self {
            setting,
            asked: 0,
            peak: 0,
            place: None,
            directory: PathBuf::new(),
            ready: VecDeque::new(),
        }
    }

    /// Where the next test will probably run.
    fn place(&self) -> Option<(OwnedFd, Surroundings)> {
        let directory = fds::open_place(&self.directory).ok()?;
        let surroundings = Surroundings::now(&directory).filter(|now| now.copied.is_settled())?;
        Some((directory, surroundings))
    }
}
