// 16. The error has no `Debug`, which printing it takes: the return type is underlined.
struct Silent;

#[netns_test::netns_test]
fn result() -> Result<(), Silent> {
    Err(Silent)
}

#[netns_test::netns_test]
async fn in_async() -> Result<(), Silent> {
    Err(Silent)
}
