// 23. `#[test]` is above in a macro's expansion: our attribute is underlined in the macro.
macro_rules! tests {
    ($($name:ident)*) => {$(
        #[test]
        #[netns_test::netns_test]
        fn $name() {}
    )*};
}

tests! { one two }
