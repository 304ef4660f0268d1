// 19. This is no function: the attribute is underlined.
use netns_test::netns_test;

#[netns_test]
struct Structure;

#[netns_test]
mod tests {
    pub(crate) fn inside() {}
}

#[netns_test]
const PORT: u16 = 80;

trait Tests {
    #[netns_test]
    fn without_a_body();
}

#[netns_test(oops = 1)]
enum WithAWrongOption {}

#[test]
fn uses_them() {
    let _ = (Structure, PORT);
    tests::inside();
}
