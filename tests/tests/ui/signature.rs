// 12. No test has such a signature: each qualifier, list of parameters and list of generics is
// underlined.
#[netns_test::netns_test]
const fn constant() {}

#[netns_test::netns_test]
unsafe fn unsafe_function() {}

#[netns_test::netns_test]
extern "C" fn foreign() {}

#[netns_test::netns_test]
fn generic<T: Default>() {}

#[netns_test::netns_test]
fn generic_over_a_constant<const N: usize>() {}

#[netns_test::netns_test]
fn lifetime<'a>() -> Result<(), &'a str> {
    Ok(())
}

#[netns_test::netns_test]
fn parameter(port: u16) {}

#[netns_test::netns_test]
async fn parameters(port: u16, (one, two): (u8, u8)) {}

#[netns_test::netns_test]
fn impl_parameter(name: impl Into<String>) {}
