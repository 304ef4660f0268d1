// 20. Many mistakes in one use: each is reported, and underlined at its own place.
#[netns_test::netns_test(time = 1, user = "Root!!", "5s", timeout = 5, timeout = "5s")]
#[should_panic]
const unsafe fn everything<T>(port: u16) -> Result<(), String> {
    Ok(())
}
