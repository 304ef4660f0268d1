// 15. The value is no `Termination`: the return type is underlined.
#[netns_test::netns_test]
fn number() -> u8 {
    80
}

#[netns_test::netns_test]
async fn option() -> Option<()> {
    None
}

#[netns_test::netns_test]
fn result_of_a_number() -> Result<u8, String> {
    Ok(80)
}
