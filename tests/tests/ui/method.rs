// 13. A method cannot be a test: `self` is underlined, and, where there is none, the attribute.
struct Tests;

impl Tests {
    #[netns_test::netns_test]
    fn by_reference(&self) {}

    #[netns_test::netns_test]
    fn by_value(self, port: u16) {}

    #[netns_test::netns_test]
    fn associated() {}
}
