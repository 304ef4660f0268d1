//! The processors that a thread may run on (`sched_setaffinity(2)`).

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Runs `work` on each processor that a program of this process may run on. The calling thread is
/// bound to the last one afterwards, so it should be one that ends.
pub(crate) fn on_each(mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let own = Pid::from_raw(0);
    // The kernel leaves out those that are off, and those of other cpusets (cpuset(7)).
    let mut all = CpuSet::new();
    (0..CpuSet::count()).try_for_each(|one| all.set(one))?;
    sched_setaffinity(own, &all)?;
    let allowed = sched_getaffinity(own)?;
    for one in 0..CpuSet::count() {
        if allowed.is_set(one)? {
            let mut only = CpuSet::new();
            only.set(one)?;
            sched_setaffinity(own, &only)?;
            work()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_each_processor() {
        let run = || {
            let mut seen = Vec::new();
            on_each(|| {
                let allowed = sched_getaffinity(Pid::from_raw(0))?;
                let one = (0..CpuSet::count()).find(|one| allowed.is_set(*one) == Ok(true));
                seen.extend(one);
                Ok(())
            })
            .unwrap();
            seen
        };
        let seen = std::thread::spawn(run).join().unwrap();
        let parallel = std::thread::available_parallelism().unwrap().get();
        assert!(seen.len() >= parallel && seen.is_sorted(), "{seen:?}");
    }
}
