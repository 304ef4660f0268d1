// 25. `#[test]` is above, in other layouts than one attribute a line: ours is underlined.
use netns_test::netns_test;

#[test] // with a comment behind
#[netns_test]
fn a_comment_behind() {}

#[test] #[netns_test] fn on_one_line() {}

#[test] #[ignore]
#[netns_test]
fn two_on_one_line() {}

#[test]
#[cfg_attr(
    all(),
    allow(unused)
)]
#[netns_test]
fn over_a_long_attribute() {}

#[core::prelude::v1::test]
#[netns_test]
fn by_its_path() {}

#[cfg_attr(all(), test)]
#[netns_test]
fn by_cfg_attr() {}

/** a
comment */
#[test]
/** another
comment */
#[netns_test]
fn over_a_block_comment() {}

#[test]
#[cfg_attr(all(), netns_test)]
fn ours_by_cfg_attr() {}
