//! The warm pool: sandboxes that are made before a test asks for one, while other tests run.
//!
//! A test must not be able to distinguish a warm sandbox from one made on request. So the
//! properties that a sandbox takes from the machine are compared before its use; if one has
//! changed, the sandbox is discarded.

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

/// Most warm sandboxes of each setting on a machine with one processor, where the number is left
/// to demand. More sandboxes than processors are not finished in the time of one test, and the
/// ones left at the end of a run were made in vain.
const MOST_ON_ONE: usize = 2;

/// Requests before the first warm sandbox is made, so that a run of one test makes none.
const FIRST_REQUESTS: usize = 2;

/// Limit of processes or namespaces below which there are no warm sandboxes: a test that lacks one
/// because of a warm sandbox fails without a hint.
const LEAST_LIMIT: u64 = 1024;

/// Most requests that pass without warm sandboxes after a setback.
const LONGEST_COOLDOWN: usize = 1024;

/// Pause before the next warm sandbox is made, after a test has taken its order. The test starts a
/// thread in this time. If the kernel queues that thread behind the server on a processor, it
/// waits until the server has created namespaces, which takes a millisecond.
const START_DELAY: Duration = Duration::from_micros(200);

/// All warm sandboxes of the server.
#[derive(Debug)]
pub(crate) struct WarmPool {
    /// Number of warm sandboxes of each setting, if `NETNS_TEST_SPARES` sets it.
    fixed: Option<usize>,
    /// Descriptor that signals changes of mounts (`proc_pid_mounts(5)`). Without it there are no
    /// warm sandboxes.
    mounts: Option<OwnedFd>,
    pools: Vec<SettingPool>,
    /// Most warm sandboxes of each setting, once it is computed.
    most: Option<usize>,
    /// Whether the limits of this machine are low, once it is checked.
    is_tight: OnceCell<bool>,
    /// Number of requests to pass before the next sandbox is made.
    cooldown: usize,
    /// Earliest time at which the next sandbox is made.
    not_before: Instant,
    /// Number of requests to pass after the next setback.
    next_cooldown: usize,
}

/// Warm sandboxes of one setting.
#[derive(Debug)]
struct SettingPool {
    setting: Setting,
    /// Number of requests.
    requests: usize,
    /// Most requests that were active at the same time.
    peak: usize,
    /// Working directory of the last request, if known, and its path. Not a descriptor, which
    /// would keep a mount busy.
    place: Option<Place>,
    directory: PathBuf,
    ready: VecDeque<WarmSandbox>,
}

/// Sandbox whose body waits for its order.
#[derive(Debug)]
struct WarmSandbox {
    init: Pid,
    orders: OwnedFd,
    /// Identity of its body, since users and their ids may change.
    identity: Identity,
    inherited: Inherited,
}

/// Properties that a sandbox takes from the machine when it is made.
#[derive(Debug, PartialEq, Eq)]
struct Inherited {
    directory: Place,
    copied: Copied,
}

impl Inherited {
    /// Reads the properties for a sandbox in `directory`, or returns `None` if one cannot be read.
    fn now(directory: &OwnedFd) -> Option<Self> {
        Some(Self { directory: fds::place_of(directory).ok()?, copied: Copied::now()? })
    }

    /// Returns whether the properties are unchanged, for a test that runs in `directory`.
    fn still_holds_for(&self, directory: Option<Place>) -> bool {
        directory == Some(self.directory) && self.copied.is_so_still()
    }
}

impl WarmPool {
    /// Creates an empty pool. `fixed` is the number for each setting, or `None` for demand.
    pub(crate) fn new(fixed: Option<usize>) -> Self {
        let mounts = fds::open_mounts().ok();
        Self {
            fixed,
            mounts,
            pools: Vec::new(),
            most: fixed,
            is_tight: OnceCell::new(),
            cooldown: 0,
            not_before: Instant::now(),
            next_cooldown: 1,
        }
    }

    /// Returns whether `NETNS_TEST_SPARES` requests warm sandboxes.
    pub(crate) fn is_requested(&self) -> bool {
        self.fixed.is_some_and(|fixed| fixed > 0)
    }

    /// Notes a request, while `running` others with the same setting have not ended.
    pub(crate) fn note_request(&mut self, request: &Request, running: usize) {
        if self.fixed == Some(0) {
            return;
        }
        self.cooldown = self.cooldown.saturating_sub(1);
        let pool = self.pool(request.setting);
        pool.requests += 1;
        pool.peak = pool.peak.max(running + 1);
        let place = fds::place_of(&request.directory).ok();
        if place.is_none() || place != pool.place {
            pool.directory = fds::path_of(&request.directory).unwrap_or_default();
            pool.place = place;
        }
    }

    /// Returns a setting that has too few warm sandboxes.
    pub(crate) fn wanted(&self) -> Option<Setting> {
        if self.cooldown > 0 || self.mounts.is_none() {
            return None;
        }
        let lacks = |pool: &&SettingPool| {
            let (target, first) = match self.fixed {
                Some(fixed) => (fixed, 1),
                None => (pool.peak.min(self.most.unwrap_or(MOST_ON_ONE)), FIRST_REQUESTS),
            };
            pool.requests >= first && pool.ready.len() < target
        };
        self.pools.iter().find(lacks).map(|pool| pool.setting)
    }

    /// Makes a warm sandbox of this setting by `launch`. A failure is not reported: the next
    /// request gets a sandbox of its own, or the reason why not.
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
        let made = self.pool(setting).place().and_then(|(directory, inherited)| {
            let Launched { init, identity, orders, .. } = launch(&directory)?;
            Some(WarmSandbox { init, orders: orders?, identity, inherited })
        });
        match made {
            Some(spare) => self.pool(setting).ready.push_back(spare),
            None => self.note_setback(),
        }
    }

    /// Returns whether the limits of this machine are so low that a test could lack a process or
    /// namespace that this crate uses for itself.
    pub(crate) fn is_tight(&self) -> bool {
        *self.is_tight.get_or_init(|| diagnose::has_room_for_fewer_than(LEAST_LIMIT))
    }

    /// Discards the signals of mount changes before the first warm sandbox is made.
    fn forget_changes_of_mounts(&self) {
        if let Some(mounts) = self.mounts.as_ref().filter(|_| self.len() == 0) {
            drop(fds::wait(&[Until::HungUp(mounts.as_fd())], Some(Duration::ZERO)));
        }
    }

    /// Returns the descriptor that hangs up when mounts have changed since the first warm sandbox
    /// was made.
    pub(crate) fn change_of_mounts(&self) -> Option<BorrowedFd<'_>> {
        self.mounts.as_ref().filter(|_| self.len() > 0).map(|mounts| mounts.as_fd())
    }

    /// Sends the request to a warm sandbox whose body has this `identity`. Returns its init, and
    /// the socket with the order.
    pub(crate) fn assign(
        &mut self,
        request: &Request,
        identity: impl FnOnce() -> Option<Identity>,
    ) -> Option<(Pid, OwnedFd)> {
        if request.is_returned || self.pool(request.setting).ready.is_empty() {
            return None;
        }
        let directory = fds::place_of(&request.directory).ok();
        let identity = identity();
        let mut is_setback = false;
        while let Some(spare) = self.pool(request.setting).ready.pop_front() {
            let is_same = spare.inherited.still_holds_for(directory)
                && identity.as_ref() == Some(&spare.identity);
            if is_same && request.send_order(&spare.orders).is_ok() {
                self.note_use();
                return Some((spare.init, spare.orders));
            }
            process::kill(spare.init);
            // A change for one is a change for all, so it counts once.
            if !std::mem::replace(&mut is_setback, true) {
                self.note_setback();
            }
        }
        None
    }

    /// Removes an init that has ended. Returns whether it was in the pool.
    pub(crate) fn forget(&mut self, init: Pid) -> bool {
        let before = self.len();
        for pool in &mut self.pools {
            pool.ready.retain(|spare| spare.init != init);
        }
        let is_one = self.len() < before;
        if is_one {
            self.note_setback();
        }
        is_one
    }

    /// Kills all warm sandboxes after a shortage or a change. Returns whether there were any.
    pub(crate) fn discard(&mut self) -> bool {
        let inits = self.take_all();
        inits.iter().copied().for_each(process::kill);
        if !inits.is_empty() {
            self.note_setback();
        }
        !inits.is_empty()
    }

    /// Notes that a test has begun in a warm sandbox.
    pub(crate) fn note_begin(&mut self) {
        self.not_before = Instant::now() + START_DELAY;
    }

    /// Returns the earliest time at which the next sandbox is made.
    pub(crate) fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Kills all warm sandboxes at the end of the server.
    pub(crate) fn end(&mut self) {
        self.take_all().into_iter().for_each(process::kill);
    }

    /// Notes that a sandbox could not be made or used. No other is made for a while.
    fn note_setback(&mut self) {
        // Another directory may have the path now.
        self.pools.iter_mut().for_each(|pool| pool.place = None);
        self.cooldown = self.next_cooldown;
        self.next_cooldown = (self.next_cooldown * 2).min(LONGEST_COOLDOWN);
    }

    /// Notes that a sandbox was used: the next pause after a setback is shorter.
    fn note_use(&mut self) {
        self.next_cooldown = (self.next_cooldown / 2).max(1);
    }

    pub(crate) fn len(&self) -> usize {
        self.pools.iter().map(|pool| pool.ready.len()).sum()
    }

    fn take_all(&mut self) -> Vec<Pid> {
        let all = self.pools.iter_mut().flat_map(|pool| pool.ready.drain(..));
        all.map(|spare| spare.init).collect()
    }

    fn pool(&mut self, setting: Setting) -> &mut SettingPool {
        let known = self.pools.iter().position(|pool| pool.setting == setting);
        let place = known.unwrap_or_else(|| {
            self.pools.push(SettingPool::new(setting));
            self.pools.len() - 1
        });
        &mut self.pools[place]
    }
}

/// Returns the number of sandboxes that can be made while tests run.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from).max(MOST_ON_ONE)
}

impl SettingPool {
    fn new(setting: Setting) -> Self {
        Self {
            setting,
            requests: 0,
            peak: 0,
            place: None,
            directory: PathBuf::new(),
            ready: VecDeque::new(),
        }
    }

    /// Opens the directory in which the next test will probably run, and reads the properties for
    /// it.
    fn place(&self) -> Option<(OwnedFd, Inherited)> {
        let directory = fds::open_place(&self.directory).ok()?;
        let inherited = Inherited::now(&directory).filter(|now| now.copied.is_settled())?;
        Some((directory, inherited))
    }
}
