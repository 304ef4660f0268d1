// 22. Errors in the body are underlined by the compiler, as in any function.
#[netns_test::netns_test]
fn wrong_type() {
    let port: u16 = "80";
}

#[netns_test::netns_test]
async fn unknown_name() -> Result<(), String> {
    connect().await?;
    Ok(())
}

#[netns_test::netns_test]
fn no_value() -> Result<(), String> {}

#[netns_test::netns_test]
fn question_mark_in_unit() {
    "80".parse::<u16>()?;
}
