//! Where there are no namespaces: other systems than Linux, and Miri, which cannot fork.
//!
//! The attribute has each test ignored there, with the reason, so that a crate with such
//! tests can sit in any workspace.

/// Compiles the test and refuses to run it.
#[doc(hidden)]
#[macro_export]
macro_rules! __case {
    (
        name: $name:expr, options: { $($options:tt)* },
        should_panic: $should_panic:ident $(($expected:expr))?,
        $(begins: $begins:ident,)? body: $body:expr $(,)?
    ) => {{
        let _body: fn() -> $crate::__rt::ExitCode = $body;
        $crate::__rt::run($crate::__rt::concat!($crate::__rt::module_path!(), "::", $name))
    }};
}

/// Takes what a module says of its tests, of which none runs.
#[doc(hidden)]
#[macro_export]
macro_rules! __defaults {
    ($($options:tt)*) => {
        #[doc(hidden)]
        const _NETNS_TEST_DEFAULTS: () = ();
    };
}

/// Says that the test `name` cannot run here.
///
/// # Panics
///
/// Always: a test that did not run must not pass.
pub fn run(name: &str) {
    panic!("{name} was not run: network namespaces need Linux, and no Miri");
}

/// Does nothing: no test runs here.
pub fn begin() {}
