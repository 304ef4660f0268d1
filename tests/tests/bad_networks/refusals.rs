//! What a kernel or a sandbox refuses to impaired links is reported, and leaves nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use netns_test::lab::Impairment;
use netns_test::netns_test;
use netns_test::{Topology, lab::Packet};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::{LIMIT, Resources};

/// Uses an impaired link on a thread that is refused a call. Returns what that says.
fn said(call: libc::c_long, errno: i32) -> String {
    let work = move || {
        filter_this_thread(Filter::Call(call, errno)).unwrap();
        let used = catch_unwind(AssertUnwindSafe(|| {
            let mut net = Topology::new();
            let (a, b) = (net.host("a"), net.host("b"));
            let link = net.link(a, b).impair(Impairment::new().loss("1%")).id();
            let lab = net.build()?;
            let _rule = lab[link].drop_matching(Packet::udp())?;
            lab[link].hold()?;
            lab[link].release()?;
            lab[link].stats().map(drop)
        }));
        match used {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        }
    };
    // The thread's filter goes with it.
    thread::spawn(work).join().unwrap()
}

/// Calls of impaired links alone. Each fails with its cause, at the build.
const AT_BUILD: [libc::c_long; 5] = [
    libc::SYS_setsockopt,
    libc::SYS_timerfd_create,
    libc::SYS_eventfd2,
    libc::SYS_madvise,
    libc::SYS_pipe2,
];

/// Calls that a lab needs as it runs. A link that they break fails the test at its end.
const LATER: [libc::c_long; 8] = [
    libc::SYS_getsockopt,
    libc::SYS_timerfd_settime,
    libc::SYS_sendmmsg,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pidfd_getfd,
];

#[netns_test(timeout = "100s")]
fn a_refused_call_is_reported_and_leaves_nothing() {
    let errnos = [(libc::EPERM, "EPERM ("), (libc::ENOSYS, "ENOSYS (")];
    drop(said(libc::SYS_getpriority, libc::EPERM));
    let before = Resources::of_process();
    for (errno, name) in errnos {
        for call in AT_BUILD {
            let text = said(call, errno);
            assert!(text.contains(name), "{call}: {text}");
            assert!(text.contains("cause: a seccomp filter refuses"), "{call}: {text}");
            before.come_back(LIMIT, Resources::of_process);
        }
    }
    for (errno, name) in errnos {
        for call in LATER {
            let text = said(call, errno);
            assert!(text.is_empty() || text.contains(name), "{call}: {text}");
            if [libc::SYS_getsockopt, libc::SYS_poll, libc::SYS_ppoll].contains(&call) {
                // The build waits by these calls, too, if the kernel is late.
                let is_of_build = text.contains("netlink socket");
                assert!(text.contains("links") || is_of_build, "{call}: {text}");
            }
        }
    }
}
