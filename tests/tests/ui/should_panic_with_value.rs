// 14. A test that should panic returns nothing: the return type is underlined.
#[netns_test::netns_test]
#[should_panic]
fn result() -> Result<(), String> {
    Ok(())
}

#[should_panic(expected = "x")]
#[netns_test::netns_test]
async fn in_async() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
