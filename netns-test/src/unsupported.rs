//! The macro's expansion where there are no network namespaces: on other systems than Linux, and
//! under Miri, which cannot fork.
//!
//! The attribute marks each test as ignored there, with the reason, so that a crate with such
//! tests can be part of any workspace.

/// Compiles the test, which panics if it is run.
#[doc(hidden)]
#[macro_export]
macro_rules! __case {
    (
        name: $name:expr, options: { $($options:tt)* },
        should_panic: $should_panic:ident $(($expected:expr))?,
        $(returns: $returns:ident,)? $(begins: $begins:ident,)? body: $body:expr $(,)?
    ) => {{
        let _body: fn() -> $crate::__rt::ExitCode = $body;
        $crate::__rt::run($crate::__rt::concat!($crate::__rt::module_path!(), "::", $name))
    }};
}

/// Accepts the options of a module, and ignores them.
#[doc(hidden)]
#[macro_export]
macro_rules! __defaults {
    ($($options:tt)*) => {
        #[doc(hidden)]
        const _NETNS_TEST_DEFAULTS: () = ();
    };
}

/// Refuses to run the test `name`.
///
/// # Panics
///
/// Always: a test that did not run must not pass.
pub fn run(name: &str) {
    panic!("{name} was not run: network namespaces need Linux, and no Miri");
}

/// Does nothing: no test runs here.
pub fn begin() {}
