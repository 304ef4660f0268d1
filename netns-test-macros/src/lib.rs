//! The attribute macros of `netns-test`. Use them through that crate: it documents them, and holds
//! the items that the expansion needs.
//!
//! The macros parse, check, and emit one call into the hidden module `netns_test::__rt`. They know
//! nothing of namespaces.
//!
//! | module | content |
//! |---|---|
//! | `expand` | from an attributed item to the tokens that replace it |
//! | `options` | the options of the attribute |
//! | `function` | the attributed function, and whether it can be a test |
//! | `attributes` | the other attributes on the function |
//! | `registration` | which `#[test]` registers the function with the test runner |
//! | `start` | the first statement of the user's function, where its time begins |
//! | `errors` | collects every error of one use |

mod attributes;
mod errors;
mod expand;
mod function;
mod options;
mod registration;
mod start;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Runs a test function in its own process and Linux namespaces.
///
/// The attribute makes the function a test, so `#[test]` is not needed. The body runs in a forked
/// child with its own network namespace, in which `lo` is up. A panic, an `Err`, a signal or the
/// end of the time limit fails the test.
///
/// ```rust,ignore
/// use std::net::TcpListener;
///
/// use netns_test::netns_test;
///
/// #[netns_test(timeout = "5s")]
/// fn port_80_is_free() -> std::io::Result<()> {
///     TcpListener::bind("0.0.0.0:80").map(drop)
/// }
///
/// #[netns_test(network = "lan")]
/// #[should_panic(expected = "ConnectionRefused")]
/// fn the_neighbour_refuses_connections() {
///     std::net::TcpStream::connect("192.168.1.1:80").unwrap();
/// }
/// ```
///
/// The function has no parameters, is not generic, and returns any type that `#[test]` accepts. It
/// may be an `async fn` if feature `tokio` of `netns-test` is on. `#[should_panic]` and `#[ignore]`
/// keep their meaning. On other systems than Linux, and under Miri, the test is ignored with the
/// reason.
///
/// As a dev-dependency the attribute exists only in test builds. A test outside of a `#[cfg(test)]`
/// module needs `#[cfg(test)]` above it, and so does a `use` of the attribute. Otherwise `cargo
/// build` fails with E0432 or E0433.
///
/// # Options
///
/// | option | values | default | meaning |
/// |---|---|---|---|
/// | `timeout` | `"500ms"`, `"5s"`, `"2m"`, `"1h"`, `"none"` | `"60s"` | after this time the test is killed and fails |
/// | `user` | `"caller"`, `"root"`, a name as in `"nobody"`, a uid as in `1000` | `"caller"` | the user that the body sees itself as |
/// | `ids` | `"own"`, `"subordinate"` | `"own"` | the ids of an ordinary caller's body: its own, or also those that `/etc/subuid` and `/etc/subgid` assign to the caller |
/// | `network` | `"loopback"`, `"lan"` | `"loopback"` | the network that the body begins with: `lo`, or also an interface `eth0` with a neighbour |
/// | `crate` | a path, bare or in quotes | `::netns_test` | path of `netns-test` if it is renamed or re-exported |
/// | `flavor` | `"current_thread"`, `"multi_thread"` | `"current_thread"` | the tokio runtime of an `async fn` |
/// | `worker_threads` | a positive integer | tokio's | threads of a `multi_thread` runtime |
/// | `start_paused` | `true`, `false` | `false` | whether the clock of a `current_thread` runtime starts paused |
///
/// Options may have any order, each at most once. The last three are only for an `async fn` whose
/// runtime this attribute makes. [`defaults!`](macro@defaults) sets `timeout`, `user`, `ids`,
/// `network` and `crate` for many tests.
///
/// # Users
///
/// `"caller"` and `"root"` need no rights. Another user, by its name in `/etc/passwd` or by its
/// uid, needs a caller who is root, as in many containers. It is for servers that refuse to run as
/// root.
///
/// - Ids: the uid and gid in `/etc/passwd`, and the groups in `/etc/group`. A uid without a line
///   has a gid of the same number, and no other group.
/// - Rights: those of that user over files. The body keeps all capabilities over its namespaces, so
///   that it can change its network, except those over files, owners and ids. Without a user
///   namespace it keeps only those over the network.
/// - Environment and working directory stay the caller's. That user may be unable to read there.
///
/// The body of an ordinary caller can be no other user, unless it has subordinate ids.
///
/// With `ids = "subordinate"` the body has its own id and those that `/etc/subuid` and
/// `/etc/subgid` assign to the caller. So a daemon under `user = "root"` can drop its rights. The
/// caller's own id is mapped to the body's user, who therefore owns the caller's files. The other
/// ids, from 0 on, are mapped to the subordinate ones in order. Only `newuidmap` and `newgidmap`
/// may map them, so these programs run before each such test, for a few milliseconds. If the caller
/// is root, the body has all of the caller's ids anyway, and no program runs.
///
/// # A network with a neighbour
///
/// With `network = "lan"` the body begins with an interface `eth0` beside `lo`:
///
/// | | MAC | IPv4 | IPv6 |
/// |---|---|---|---|
/// | `eth0` | `02:00:00:00:00:02` | `192.168.1.2/24` | `fd00:1::2/64`, `fe80::2/64` |
/// | its neighbour | `02:00:00:00:00:01` | `192.168.1.1/24` | `fd00:1::1/64`, `fe80::1/64` |
///
/// The interface has multicast, broadcast and an MTU of 1500 bytes. All addresses are usable when
/// the body begins. Multicast and broadcast packets go to `eth0`, unless a socket names another
/// interface. There is no default route: a connection to the outside fails at once with
/// `ENETUNREACH`.
///
/// The neighbour is a network namespace without a process. The kernel answers ARP, neighbour
/// solicitations and ping there, and refuses connections. It ends with the test. The kernel's
/// module `veth` is needed; without it the test fails and names it. For several hosts use
/// `Topology`.
///
/// # With other attributes
///
/// Attributes are expanded from the top down. One above this attribute is expanded before it, so
/// the test is the function that results. One below it is placed as follows:
///
/// | attribute below | placed on |
/// |---|---|
/// | `#[ignore]`, `#[should_panic]`, `#[cfg]`, `#[doc]`, lints (`#[allow]`, `#[expect]`, …), `#[deprecated]`, `#[must_use]`, `#[no_mangle]` and others of the language, `#[clippy::…]` and those of other tools | the function that the test runner calls |
/// | `#[inline]`, `#[cold]`, `#[track_caller]`, `#[target_feature]`, `#[instruction_set]` | the body |
/// | `#[serial]`, `#[parallel]` and their `file_` forms of the crate `serial_test` | the function that the test runner calls: all tests share that process, and the time limit does not run while a test waits for the lock. Above this attribute `#[serial]` has no effect, since each body is a process of its own |
/// | any other (`#[instrument]`, `#[traced_test]`, `#[timeout]`, your own) | the body: the code that it adds runs inside the namespaces |
///
/// # With other test attributes
///
/// Exactly one of the attributes registers the test. Write this one on top, with these exceptions:
///
/// | other attribute | order |
/// |---|---|
/// | `#[test]` | not needed; accepted below this one, a compile error above it |
/// | `#[tokio::test]` | above or below; it makes the runtime, inside the namespaces. Its options `flavor = "local"`, `name`, `unhandled_panic` and `crate = "tokio"` are not options of this attribute: keep `#[tokio::test(…)]` below `#[netns_test]` |
/// | `#[test_log::test]`, `#[gtest]`, `#[googletest::test]` | above or below |
/// | any other path that ends in `test`, as `#[async_std::test]`, `#[actix_rt::test]`, `#[futures_test::test]`, `#[smol_potat::test]` | below; above is a compile error, since these make a test of their own first |
/// | `#[rstest]` | above or below; if `#[rstest]` is above, put this one after the last `#[case]`, because `rstest` puts an attribute that is before a `#[case]` on that case alone (a compile error), and on an `async fn` write `#[netns_test::test]`, because `rstest` requires a test attribute by that name |
/// | `#[test_case]`, `#[test_matrix]` | above or below |
///
/// The compile errors for attributes above are found in the source text and need Rust 1.88. In
/// other cases (an older compiler, an attribute under another name, a macro that adds `#[test]`)
/// the run detects a test that is registered twice: the body runs once, and the second registration
/// fails with the reason. Calls of a test function by other code are not counted.
///
/// An attribute on the body cannot add further tests: the compiler warns ("cannot test inner
/// items"). If it leaves no function of the name, that is a compile error.
///
/// Some attributes add `#[test]` unless they find an attribute whose path ends in `test`. For these
/// use [`macro@test`], the same macro by another name.
#[proc_macro_attribute]
pub fn netns_test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(&args.into(), &item.into()).into()
}

/// Is [`macro@netns_test`] by a name that other test attributes recognize.
///
/// Attributes such as `#[rstest]` and `#[gtest]` let the user choose the test attribute, and
/// require a path that ends in `test`. Write it with its crate, `#[netns_test::test]`: an import of
/// the bare name would hide the built-in `#[test]`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(&args.into(), &item.into()).into()
}

/// Sets options for all tests of a module and its submodules, unless a test sets its own.
///
/// At the top of a file it applies to the file, at the root of a crate (`src/lib.rs`,
/// `tests/name.rs`) to the crate. If several modules around a test set an option, the nearest one
/// applies. It takes `timeout`, `user`, `ids`, `network` and `crate`, and may be used once in a
/// module. In a library write it below `#[cfg(test)]`, since `netns-test` is a dependency of its
/// tests only.
///
/// ```rust,ignore
/// use netns_test::netns_test;
///
/// netns_test::defaults! { network = "lan", timeout = "5s" }
///
/// #[netns_test]
/// fn has_an_interface() {
///     assert!(std::fs::exists("/sys/class/net/eth0").unwrap());
/// }
///
/// #[netns_test(network = "loopback")]
/// fn has_only_loopback() {
///     assert!(!std::fs::exists("/sys/class/net/eth0").unwrap());
/// }
/// ```
#[proc_macro]
pub fn defaults(args: TokenStream) -> TokenStream {
    expand::defaults(&args.into()).into()
}
