//! Two thousand tests in one binary, and nothing of them left.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use netns_test_tests::{again, children, fork_server, passes};

/// How long the kernel may take to take namespaces down.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn two_thousand_tests_pass_and_leave_nothing() {
    // Orphans become children of this process, which leaves them to be seen.
    // SAFETY: a flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
    let before = Left::count();
    passes(&mut again(&[], &["--test-threads=16"]), 2_000);
    let start = Instant::now();
    while !Left::count().is_within(&before) {
        assert!(start.elapsed() < PATIENCE, "left: {:?}, before: {before:?}", Left::count());
        std::thread::sleep(Duration::from_millis(50));
    }
    // This process has a server, and the runner has reaped its own.
    assert_eq!(children(std::process::id()), [fork_server()]);
}

/// What there is of this binary's processes, of the network namespaces that they are in, and of mounts.
/// Other programs that it has left would be children of this process.
#[derive(Debug)]
struct Left {
    processes: usize,
    networks: BTreeSet<std::path::PathBuf>,
    mounts: usize,
}

impl Left {
    fn count() -> Self {
        let own = fs::read_link("/proc/self/exe").unwrap();
        let pids = || fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let is_own =
            |path: &std::path::PathBuf| fs::read_link(path.join("exe")).is_ok_and(|exe| exe == own);
        Self {
            processes: pids().filter(is_own).count(),
            networks: pids()
                .filter(is_own)
                .filter_map(|path| fs::read_link(path.join("ns/net")).ok())
                .collect(),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.processes <= before.processes
            && self.networks.is_subset(&before.networks)
            && self.mounts == before.mounts
    }
}

macro_rules! one {
    ($($name:ident)*) => {$(
        #[netns_test::netns_test]
        #[ignore = "run by two_thousand_tests_pass_and_leave_nothing"]
        fn $name() {}
    )*};
}

macro_rules! twenty {
    ($($module:ident)*) => {$(
        mod $module {
            one! { a b c d e f g h i j k l m n o p q r s t }
        }
    )*};
}

macro_rules! two_hundred {
    ($($module:ident)*) => {$(
        mod $module {
            twenty! { a b c d e f g h i j }
        }
    )*};
}

two_hundred! { a b c d e f g h i j }
