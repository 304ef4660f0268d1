//! Two thousand tests in one binary, and nothing of them left.
//!
//! Each is declared within a function, so that libtest does not list two thousand lines in every
//! run. One ignored test calls them, sixteen at a time.

#![expect(unnameable_test_items, reason = "they are called, not listed")]

use netns_test_tests::{
    LIMIT, Resources, again, call_all_on, children, eventually, fork_server, passes,
};

const THREADS: usize = 16;

#[test]
fn two_thousand_tests_pass_and_leave_nothing() {
    // Orphans become children of this process, which leaves them to be seen.
    // SAFETY: a flag of this process.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }, 0);
    let before = Resources::of_program();
    passes(&mut again(&[], &["--exact", "calls_two_thousand_tests"]), 1);
    eventually(2 * LIMIT, "nothing is left", || {
        let seen = Resources::of_program();
        if seen.is_within(&before) { Ok(()) } else { Err(Box::new((seen, "before:", &before))) }
    });
    // This process has a server, and the runner has reaped its own.
    assert_eq!(children(std::process::id()), [fork_server()]);
}

#[test]
#[ignore = "run by two_thousand_tests_pass_and_leave_nothing"]
fn calls_two_thousand_tests() {
    let all = ALL.as_flattened().as_flattened();
    assert_eq!(all.len(), 2_000);
    call_all_on(THREADS, all);
}

/// Declares functions of these names, each of which calls an isolated test of its own.
macro_rules! one {
    ($($name:ident)*) => {
        pub(crate) const ALL: [fn(); 20] = [$($name),*];

        $(fn $name() {
            #[netns_test::netns_test]
            fn $name() {}
            $name();
        })*
    };
}

macro_rules! twenty {
    ($($module:ident)*) => {
        pub(crate) const ALL: [[fn(); 20]; 10] = [$($module::ALL),*];

        $(mod $module {
            one! { a b c d e f g h i j k l m n o p q r s t }
        })*
    };
}

macro_rules! two_hundred {
    ($($module:ident)*) => {
        const ALL: [[[fn(); 20]; 10]; 10] = [$($module::ALL),*];

        $(mod $module {
            twenty! { a b c d e f g h i j }
        })*
    };
}

two_hundred! { a b c d e f g h i j }
