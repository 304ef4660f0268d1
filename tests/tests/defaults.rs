//! `defaults!`: options that are said once for a file, a module, or the modules in it.

use std::fs;

use netns_test::netns_test;
use netns_test_tests::{again, fails, status};

netns_test::defaults! { network = "lan" }

fn has_eth0() -> bool {
    fs::exists("/sys/class/net/eth0").unwrap()
}

fn uid() -> String {
    status("Uid").split('\t').next().unwrap().to_owned()
}

#[netns_test]
fn a_test_has_those_of_its_file() {
    assert!(has_eth0());
}

#[netns_test(network = "loopback")]
fn its_own_come_first() {
    assert!(!has_eth0());
}

mod limited {
    use super::netns_test;

    netns_test::defaults! { timeout = "1s" }

    #[netns_test]
    #[ignore = "run by a_limit_is_that_of_the_module"]
    fn waits_for_nothing() {
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn a_limit_is_that_of_the_module() {
    let text = fails(&mut again(&[], &["--exact", "limited::waits_for_nothing"]));
    assert!(text.contains("did not end within its timeout of 1s"), "{text}");
}

mod inner {
    use super::{has_eth0, netns_test, uid};

    netns_test::defaults! { user = "root", timeout = "none" }

    #[netns_test]
    fn a_module_adds_to_those_around_it() {
        assert!(has_eth0());
        assert_eq!(uid(), "0");
    }

    mod innermost {
        use super::{has_eth0, netns_test};

        #[netns_test(user = "caller")]
        fn modules_without_any_have_those_around_them() {
            assert!(has_eth0());
            let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
            let ids: Vec<&str> = map.split_whitespace().collect();
            assert_eq!(ids[0], ids[1], "the caller's id is kept: {map}");
        }
    }
}

mod inner_by_name_only {
    use super::{has_eth0, netns_test};

    netns_test::defaults! { network = "loopback" }

    #[netns_test]
    fn a_module_overrides_those_around_it() {
        assert!(!has_eth0());
    }
}

#[rstest::rstest]
#[case(1)]
#[case(2)]
#[netns_test]
fn cases_have_them(#[case] _number: u32) {
    assert!(has_eth0());
}

#[netns_test]
#[tokio::test]
async fn tests_of_another_runtime_have_them() {
    assert!(has_eth0());
}
