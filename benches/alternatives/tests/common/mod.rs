//! The two hundred tests with an empty body, and as many with one of 5 ms, in modules `empty` and
//! `five_ms`. The macro `$test` makes a test of a name and a body.

#[macro_export]
macro_rules! ten {
    ($test:ident, $body:expr, $($module:ident)*) => {
        $(mod $module { $test! { $body, a b c d e f g h i j } })*
    };
}

#[expect(clippy::crate_in_macro_def, reason = "the body is in the crate that calls it")]
#[macro_export]
macro_rules! all {
    ($test:ident) => {
        mod empty {
            mod first {
                ten! { $test, (), a b c d e f g h i j }
            }
            mod second {
                ten! { $test, (), a b c d e f g h i j }
            }
        }
        mod five_ms {
            mod first {
                ten! { $test, crate::five_ms(), a b c d e f g h i j }
            }
            mod second {
                ten! { $test, crate::five_ms(), a b c d e f g h i j }
            }
        }
        fn five_ms() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
}
