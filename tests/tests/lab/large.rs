//! Topologies with hundreds of nodes. The kernel has 1024 neighbour entries of each family, for all
//! network namespaces together, and a packet to one more is lost: two runs of these at once fail.

use netns_test::netns_test;

use crate::net::{mesh, row, star, switched};
use crate::shapes::holds;

/// One after the other.
#[netns_test(timeout = "180s")]
fn large_topologies() -> netns_test::Result<()> {
    raise_open_files();
    let all = [star(50), star(200), switched(20), row(30, false), row(12, true), mesh(12)];
    all.into_iter().try_for_each(holds)
}

/// A node and its sockets take several, and many machines allow 1024 unless asked for more.
fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one structure.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads it.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}
