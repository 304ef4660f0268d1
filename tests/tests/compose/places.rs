//! Where a test may stand, what it may be called, and who may call it.

use netns_test::netns_test;

use super::proof::isolated;

mod nested {
    use super::isolated;

    #[netns_test::netns_test]
    fn in_a_module() {
        isolated();
    }

    mod deeper {
        #[netns_test::netns_test]
        fn in_a_module() {
            super::isolated();
        }
    }
}

#[netns_test]
fn r#try() {
    isolated();
}

#[netns_test]
async fn r#async() {
    isolated();
}

mod r#mod {
    #[netns_test::netns_test]
    fn r#fn() {
        super::isolated();
    }
}

/// Names that the expansion itself uses must not get in its way.
mod shadows {
    #![expect(dead_code, reason = "these only have to be in scope")]

    use super::isolated;

    mod core {}
    mod std {}
    mod tokio {}
    struct Some;
    struct None;
    struct Option;

    #[::netns_test::netns_test]
    fn run() {
        isolated();
    }

    #[::netns_test::netns_test]
    async fn report() -> Result<(), String> {
        isolated();
        Ok(())
    }

    #[::netns_test::netns_test(flavor = "multi_thread", worker_threads = 1)]
    async fn block_on() {
        isolated();
    }
}

macro_rules! whole_test {
    ($name:ident) => {
        #[netns_test]
        fn $name() {
            isolated();
        }
    };
}
whole_test!(from_a_macro);
whole_test!(from_a_macro_again);

macro_rules! test_around {
    ($(#[$attribute:meta])* $name:ident $(-> $output:ty)?, $body:block) => {
        $(#[$attribute])*
        fn $name() $(-> $output)? $body
    };
}
test_around!(
    #[netns_test]
    body_from_outside,
    {
        isolated();
    }
);
test_around!(
    /// Everything is a fragment.
    #[netns_test(timeout = "30s")]
    return_type_from_outside -> Result<(), String>,
    {
        isolated();
        Ok(())
    }
);

macro_rules! test_with_options {
    ($name:ident, $limit:literal, $path:path, $threads:expr) => {
        #[netns_test(timeout = $limit, crate = $path, flavor = "multi_thread", worker_threads = $threads)]
        async fn $name() {
            isolated();
            assert_eq!(tokio::runtime::Handle::current().metrics().num_workers(), $threads);
        }
    };
}
test_with_options!(options_from_outside, "30s", ::netns_test, 2);

#[netns_test]
fn calls_another_test() {
    // It proves its isolation for both: there is one sandbox.
    called_by_another_test();
}

#[netns_test]
fn called_by_another_test() -> Result<(), String> {
    isolated();
    Ok(())
}

#[netns_test]
#[should_panic(expected = "as it should")]
fn calls_a_test_that_panics() {
    panics_as_it_should();
}

#[netns_test]
#[should_panic(expected = "as it should")]
fn panics_as_it_should() {
    isolated();
    panic!("as it should");
}

#[netns_test]
#[should_panic(expected = "the test places::returns_an_error returned a failing exit status")]
fn calls_a_test_that_fails() {
    returns_an_error();
}

#[netns_test]
#[ignore = "fails; run by compose.rs"]
fn returns_an_error() -> Result<(), String> {
    isolated();
    Err("as it should".to_owned())
}

/// The name of the function means the function as it is written.
#[netns_test]
fn recurses() -> Result<(), String> {
    if std::env::var_os("DEPTH").is_some() {
        return Err("the bottom".to_owned());
    }
    isolated();
    // SAFETY: no other thread of this process reads the environment.
    unsafe { std::env::set_var("DEPTH", "1") };
    assert_eq!(recurses(), Err("the bottom".to_owned()));
    Ok(())
}
