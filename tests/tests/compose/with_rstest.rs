//! `#[rstest]`: the sandbox holds the fixtures too, and every case has one of its own.

use netns_test::netns_test;
use rstest::{fixture, rstest};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::proof::{isolated, status_numbers};

/// Proves the isolation for the tests that use it.
#[fixture]
fn network() -> &'static str {
    isolated();
    "up"
}

#[fixture]
async fn async_network() -> String {
    tokio::task::yield_now().await;
    isolated();
    "up".to_owned()
}

mod above {
    use super::*;

    #[rstest]
    #[netns_test]
    fn fixture(network: &str) {
        assert_eq!(network, "up");
    }

    #[rstest]
    #[case(1, 2)]
    #[case::named(2, 3)]
    #[netns_test]
    fn cases(#[case] before: u8, #[case] after: u8) {
        isolated();
        assert_eq!(before + 1, after);
    }

    #[rstest]
    #[case(1, 2)]
    #[case::named(2, 3)]
    #[netns_test::test]
    fn cases_by_the_other_name(#[case] before: u8, #[case] after: u8) {
        isolated();
        assert_eq!(before + 1, after);
    }

    #[rstest]
    #[case(1)]
    #[should_panic(expected = "two")]
    #[case(2)]
    #[netns_test(user = "root")]
    fn one_case_panics(#[case] number: u8, network: &str) {
        assert_eq!(status_numbers("Uid"), [0; 4]);
        assert_eq!(network, "up");
        assert_ne!(number, 2, "two");
    }

    #[rstest]
    #[netns_test]
    fn matrix(#[values(1, 2)] one: u8, #[values("x", "y")] other: &str) {
        isolated();
        assert!(one > 0 && !other.is_empty());
    }

    #[rstest]
    #[case("80")]
    #[netns_test]
    fn result(#[case] text: &str) -> Result<(), std::num::ParseIntError> {
        isolated();
        text.parse::<u16>()?;
        Ok(())
    }

    #[rstest]
    #[case(1)]
    #[case(2)]
    #[netns_test::test(flavor = "multi_thread", worker_threads = 2)]
    async fn asynchronous(#[case] number: u8, #[future] async_network: String) {
        assert!(number > 0);
        assert_eq!(async_network.await, "up");
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[rstest]
    #[case(1)]
    #[case(2)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[netns_test]
    async fn tokio_test_then_ours(#[case] number: u8) {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[rstest]
    #[case(1)]
    #[case(2)]
    #[netns_test]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ours_then_tokio_test(#[case] number: u8) {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[rstest]
    #[case(1)]
    #[netns_test]
    #[test]
    fn ours_then_test(#[case] number: u8) {
        isolated();
        assert!(number > 0);
    }
}

mod below {
    use super::*;

    #[netns_test]
    #[rstest]
    fn fixture(network: &str) {
        assert_eq!(network, "up");
    }

    #[netns_test]
    #[rstest]
    #[case(1, 2)]
    #[case::named(2, 3)]
    fn cases(#[case] before: u8, #[case] after: u8) {
        isolated();
        assert_eq!(before + 1, after);
    }

    #[netns_test(user = "root")]
    #[rstest]
    #[case(1)]
    #[should_panic(expected = "two")]
    #[case(2)]
    fn one_case_panics(#[case] number: u8, network: &str) {
        assert_eq!(status_numbers("Uid"), [0; 4]);
        assert_eq!(network, "up");
        assert_ne!(number, 2, "two");
    }

    #[netns_test::test]
    #[rstest]
    fn matrix(#[values(1, 2)] one: u8, #[values("x", "y")] other: &str) {
        isolated();
        assert!(one > 0 && !other.is_empty());
    }

    #[netns_test]
    #[rstest]
    #[case(1)]
    #[case(2)]
    async fn asynchronous(#[case] number: u8, #[future] async_network: String) {
        assert!(number > 0);
        assert_eq!(async_network.await, "up");
        assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
    }

    #[netns_test(flavor = "multi_thread", worker_threads = 2)]
    #[rstest]
    #[case(1)]
    async fn asynchronous_with_options(#[case] number: u8) -> Result<(), String> {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
        Ok(())
    }

    #[netns_test]
    #[rstest]
    #[case(1)]
    #[case(2)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn with_tokio_test(#[case] number: u8) {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[netns_test]
    #[rstest]
    #[case(1)]
    #[test]
    fn with_test(#[case] number: u8) {
        isolated();
        assert!(number > 0);
    }
}
