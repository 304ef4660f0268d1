//! `#[test_case]` and `#[test_matrix]`: every case has a sandbox of its own.

use netns_test::netns_test;
use test_case::test_case;

use super::proof::isolated;

mod above {
    use netns_test::netns_test;
    use test_case::{test_case, test_matrix};
    use tokio::runtime::Handle;

    use crate::proof::{isolated, status_numbers};

    #[test_case(1, 2)]
    #[test_case(2, 3; "named")]
    #[netns_test]
    fn cases(before: u8, after: u8) {
        isolated();
        assert_eq!(before + 1, after);
    }

    #[test_case(1 => 2)]
    #[test_case(2 => matches 3..=4)]
    #[test_case(0 => panics "zero")]
    #[test_case(7 => ignore["slow"] 8)]
    #[netns_test(user = "root")]
    fn values(number: u8) -> u8 {
        isolated();
        assert_eq!(status_numbers("Uid"), [0; 4]);
        assert_ne!(number, 0, "zero");
        number + 1
    }

    #[test_case("80")]
    #[netns_test]
    fn result(text: &str) -> Result<(), std::num::ParseIntError> {
        isolated();
        text.parse::<u16>()?;
        Ok(())
    }

    #[test_matrix([1, 2], ["x", "y"])]
    #[netns_test]
    fn matrix(one: u8, other: &str) {
        isolated();
        assert!(one > 0 && !other.is_empty());
    }

    #[test_case(1)]
    #[test_case(2)]
    #[netns_test(flavor = "multi_thread", worker_threads = 2)]
    async fn asynchronous(number: u8) {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[test_case(1 => 2)]
    #[test_case(0 => panics "zero")]
    #[netns_test]
    async fn asynchronous_values(number: u8) -> u8 {
        isolated();
        assert_ne!(number, 0, "zero");
        number + 1
    }

    #[test_case(1)]
    #[test_case(2)]
    #[tokio::test]
    #[netns_test]
    async fn tokio_test_then_ours(number: u8) {
        isolated();
        assert!(number > 0);
    }

    #[test_case(1)]
    #[test_case(2)]
    #[netns_test]
    #[tokio::test]
    async fn ours_then_tokio_test(number: u8) {
        isolated();
        assert!(number > 0);
    }
}

mod below {
    use netns_test::netns_test;
    use test_case::test_case;
    use tokio::runtime::Handle;

    use crate::proof::{isolated, status_numbers};

    #[netns_test]
    #[test_case(1, 2)]
    #[test_case(2, 3; "named")]
    fn cases(before: u8, after: u8) {
        isolated();
        assert_eq!(before + 1, after);
    }

    #[netns_test(user = "root")]
    #[test_case(1 => 2)]
    #[test_case(2 => matches 3..=4)]
    #[test_case(0 => panics "zero")]
    #[test_case(7 => ignore["slow"] 8)]
    fn values(number: u8) -> u8 {
        isolated();
        assert_eq!(status_numbers("Uid"), [0; 4]);
        assert_ne!(number, 0, "zero");
        number + 1
    }

    #[netns_test]
    #[test_case::test_matrix([1, 2], ["x", "y"])]
    fn matrix(one: u8, other: &str) {
        isolated();
        assert!(one > 0 && !other.is_empty());
    }

    #[netns_test(flavor = "multi_thread", worker_threads = 2)]
    #[test_case(1)]
    #[test_case(2)]
    async fn asynchronous(number: u8) {
        isolated();
        assert!(number > 0);
        assert_eq!(Handle::current().metrics().num_workers(), 2);
    }

    #[netns_test]
    #[test_case(1 => 2)]
    #[test_case(0 => panics "zero")]
    async fn asynchronous_values(number: u8) -> u8 {
        isolated();
        assert_ne!(number, 0, "zero");
        number + 1
    }

    #[netns_test]
    #[test_case(1)]
    #[test_case(2)]
    #[tokio::test]
    async fn with_tokio_test(number: u8) {
        isolated();
        assert!(number > 0);
    }
}

#[test_case(1)]
#[netns_test]
#[test_case(2)]
fn ours_between(number: u8) {
    isolated();
    assert!(number > 0);
}
