//! The execution of a schedule beside the test.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Failure, Result, located};
use crate::lab::change::partition::{Sides, Ways};
use crate::lab::fabric::state::Fabric;
use crate::lab::run::lab::Lab;
use crate::lab::run::link::Link;
use crate::lab::run::programs::spawner::Programs;
use crate::lab::topology::LinkId;
use crate::lab::topology::schedule::Schedule;
use crate::lab::topology::step::{Cut, Step};
use crate::sys::lock::{lock, wait_timeout};
use crate::sys::{errno, process};

/// A schedule that is executed beside the test, until its last step or until it is dropped. Changes
/// that were made stay.
///
/// # Panics
///
/// The drop panics, so that the test fails, if a step has failed and [`wait`](Self::wait) was not
/// called.
#[derive(Debug)]
#[must_use = "dropping it stops the schedule"]
pub struct RunningSchedule<'a> {
    // The lab cannot be extended meanwhile: the thread has its state.
    _lab: &'a Lab,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Process that has the thread.
    owner: process::Pid,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    /// The end of the thread's work.
    end: Option<Result<()>>,
}

/// Steps with the times from the start, each with all that it needs on a thread.
struct Steps {
    fabric: Arc<Fabric>,
    programs: Arc<Programs>,
    steps: Vec<(Duration, Step)>,
    /// Partitions that the schedule has made.
    partitions: Vec<(Cut, u64, Sides)>,
}

impl Lab {
    /// Starts to execute a schedule on a thread of its own. Its times count from now. A step that
    /// takes longer than the time to the next one delays the next one.
    ///
    /// Each step is on the timeline of a failed test.
    ///
    /// # Errors
    ///
    /// A node or a link of another topology; impairments of a link that is a direct veth pair, or
    /// that the plan would refuse; a thread that the kernel refuses. Nothing is changed then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, wan: netns_test::LinkId) -> netns_test::Result<()> {
    /// use std::time::Duration;
    /// use netns_test::lab::Schedule;
    ///
    /// let ms = Duration::from_millis;
    /// let flaps = Schedule::new().flap(wan, ms(100), ms(50), ms(200), 3);
    /// let running = lab.start_schedule(&flaps)?;
    /// // The download goes on while the link flaps.
    /// running.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn start_schedule(&self, schedule: &Schedule) -> Result<RunningSchedule<'_>> {
        located(self.start(schedule))
    }

    fn start(&self, schedule: &Schedule) -> Result<RunningSchedule<'_>> {
        let steps = Steps {
            fabric: Arc::clone(self.fabric()),
            programs: Arc::clone(self.programs()),
            steps: schedule.steps().to_vec(),
            partitions: Vec::new(),
        };
        steps.check()?;
        let (shared, start) = (Arc::new(Shared::default()), Instant::now());
        let own = Arc::clone(&shared);
        let work = move || {
            let end = steps.run(start, &own);
            own.lock().end = Some(end);
            own.changed.notify_all();
        };
        let thread = thread::Builder::new().name("lab schedule".into()).spawn(work);
        let thread =
            thread.map_err(|error| errno::failure("start", "the schedule's thread", &error))?;
        let owner = process::id();
        Ok(RunningSchedule { _lab: self, shared, thread: Some(thread), owner })
    }
}

impl RunningSchedule<'_> {
    /// Waits until all steps are done.
    ///
    /// # Errors
    ///
    /// The error of the step that has failed; later steps were not executed.
    #[track_caller]
    pub fn wait(mut self) -> Result<()> {
        located(self.join())
    }

    /// Returns whether all steps are done, or one has failed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.shared.lock().end.is_some()
    }

    /// Ends the schedule after the step that is executed at this moment.
    ///
    /// # Errors
    ///
    /// The error of a step that has failed.
    #[track_caller]
    pub fn stop(mut self) -> Result<()> {
        self.shared.stop();
        located(self.join())
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
        self.shared.lock().end.take().unwrap_or(Ok(()))
    }
}

impl Drop for RunningSchedule<'_> {
    fn drop(&mut self) {
        if self.owner != process::id() {
            // A forked child does not have the thread, and must not touch its handle.
            return std::mem::forget(self.thread.take());
        }
        if self.thread.is_none() {
            return;
        }
        self.shared.stop();
        let Err(error) = self.join() else { return };
        assert!(thread::panicking(), "a step of the schedule has failed: {error}");
        // It may be the reason of the panic.
        eprintln!("netns-test: a step of the schedule has failed: {error}");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Waits until `time`. Returns whether the schedule goes on then.
    fn wait_until(&self, time: Option<Instant>) -> bool {
        let mut state = self.lock();
        while !state.is_stopped {
            // A time that the clock does not have is never reached.
            let left = time.map(|time| time.saturating_duration_since(Instant::now()));
            let left = left.unwrap_or(Duration::MAX);
            if left.is_zero() {
                return true;
            }
            state = wait_timeout(&self.changed, state, left);
        }
        false
    }
}

impl Steps {
    /// Checks what can be known before the first step.
    fn check(&self) -> Result<()> {
        for (_, step) in &self.steps {
            match step {
                Step::Down(link) | Step::Up(link) => drop(self.link(*link)?),
                Step::Hold(link) | Step::Release(link) => self.link(*link)?.check_impairable()?,
                Step::HoldFrom(link, node) | Step::ReleaseFrom(link, node) => {
                    let link = self.link(*link)?;
                    self.fabric.position_of("hold", *node)?;
                    link.check_impairable()?;
                }
                Step::Impair(link, impairment) => {
                    self.link(*link)?.check_impairment(impairment)?;
                }
                Step::ImpairFrom(link, node, impairment) => {
                    let link = self.link(*link)?;
                    self.fabric.position_of("impair", *node)?;
                    link.check_impairment(impairment)?;
                }
                Step::PowerOff(node) | Step::PowerOn(node) => {
                    self.fabric.position_of("power", *node)?;
                }
                Step::Partition(cut) | Step::Heal(cut) => drop(self.sides(cut)?),
            }
        }
        Ok(())
    }

    fn run(mut self, start: Instant, shared: &Shared) -> Result<()> {
        for (time, step) in std::mem::take(&mut self.steps) {
            if !shared.wait_until(start.checked_add(time)) {
                break;
            }
            self.take(&step)?;
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Down(link) => self.link(*link)?.down(),
            Step::Up(link) => self.link(*link)?.up(),
            Step::Hold(link) => self.link(*link)?.hold(),
            Step::HoldFrom(link, node) => self.link(*link)?.hold_from(*node),
            Step::Release(link) => self.link(*link)?.release(),
            Step::ReleaseFrom(link, node) => self.link(*link)?.release_from(*node),
            Step::Impair(link, impairment) => self.link(*link)?.set_impairment(impairment.clone()),
            Step::ImpairFrom(link, node, impairment) => {
                self.link(*link)?.set_impairment_from(*node, impairment.clone())
            }
            Step::PowerOff(node) => self.fabric.power_off(&self.programs, *node),
            Step::PowerOn(node) => self.fabric.power_on(*node),
            Step::Partition(cut) => {
                let sides = self.sides(cut)?;
                let number = self.fabric.part(&sides)?;
                self.partitions.push((cut.clone(), number, sides));
                Ok(())
            }
            Step::Heal(cut) => match self.partitions.iter().rposition(|one| one.0 == *cut) {
                Some(at) => {
                    let (_, number, sides) = self.partitions.remove(at);
                    self.fabric.join(number, &sides)
                }
                None => Ok(()),
            },
        }
    }

    fn link(&self, link: LinkId) -> Result<Link> {
        let unknown =
            || Failure::new("change", "a link of another topology", "it is not in this lab");
        let at = self.fabric.plan.link_position(link).ok_or_else(unknown)?;
        Ok(Link::new(Arc::clone(&self.fabric), at))
    }

    fn sides(&self, Cut { groups: [one, other], is_one_way }: &Cut) -> Result<Sides> {
        let ways = if *is_one_way { Ways::One } else { Ways::Both };
        Sides::new("partition", &self.fabric.plan, [one, other], ways)
    }
}
