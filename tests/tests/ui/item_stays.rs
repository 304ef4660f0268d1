// 21. The item under a wrong attribute can still be used: the mistake alone is underlined, and
// none of the uses.
use netns_test::netns_test;

#[netns_test(timeout = "soon")]
fn helper() -> u16 {
    80
}

#[netns_test]
struct Structure {
    port: u16,
}

#[test]
fn uses_them() {
    assert_eq!(helper(), Structure { port: 80 }.port);
}
