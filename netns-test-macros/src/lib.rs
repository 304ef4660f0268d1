//! The attribute macros of `netns-test`. Use them through that crate, which documents them with
//! examples that run and which holds everything the expansion refers to.
//!
//! The macros are a doorway: they parse, check, and emit one call into the hidden module
//! `netns_test::__rt`. How a test gets its namespaces is not known here.
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

/// Runs a test function in a process and in Linux namespaces of its own.
///
/// The attribute makes the function a test, as `#[test]` does, so `#[test]` is not needed beside
/// it. The body runs in a forked child with a network namespace of its own, which holds
/// the loopback interface. A panic, an `Err`, a signal or the end of the time limit fails the test.
///
/// The function takes no parameters, is not generic, and returns anything that `#[test]` accepts.
/// It may be an `async fn` if feature `tokio` of `netns-test` is on. `#[should_panic]` and
/// `#[ignore]` keep their meaning. On other systems than Linux, and under Miri, the test is ignored
/// with the reason.
///
/// With `netns-test` in `[dev-dependencies]`, as usual, the attribute exists only in test builds. A
/// test outside of a `#[cfg(test)]` module needs `#[cfg(test)]` above it, and so does a `use` of the
/// attribute; else `cargo build` fails with E0432 or E0433 (`#[test]` alone needs none of it).
///
/// # Options
///
/// | option | values | default | meaning |
/// |---|---|---|---|
/// | `timeout` | `"500ms"`, `"5s"`, `"2m"`, `"1h"`, `"none"` | `"60s"` | after this time the test is killed and fails |
/// | `user` | `"caller"`, `"root"`, a name as in `"nobody"`, a uid as in `1000` | `"caller"` | the user that the body sees itself as |
/// | `ids` | `"own"`, `"subordinate"` | `"own"` | the ids that an ordinary caller's body has: its own, or also those that `/etc/subuid` and `/etc/subgid` give to the caller |
/// | `network` | `"loopback"`, `"lan"` | `"loopback"` | the network that the body begins with: `lo`, or also an interface `eth0` with a neighbour |
/// | `crate` | a path, bare or in quotes | `::netns_test` | where to find `netns-test` if it is renamed or re-exported |
/// | `flavor` | `"current_thread"`, `"multi_thread"` | `"current_thread"` | the tokio runtime of an `async fn` |
/// | `worker_threads` | a positive integer | tokio's | threads of a `multi_thread` runtime |
/// | `start_paused` | `true`, `false` | `false` | whether the clock of a `current_thread` runtime starts paused |
///
/// Options stand in any order, each at most once. The last three are only for an `async fn` whose
/// runtime this attribute makes. `timeout`, `user`, `ids` and `network` can be said once for many
/// tests, with [`defaults!`](macro@defaults).
///
/// # Users
///
/// `"caller"` and `"root"` need no rights. Another user, by its name in `/etc/passwd` or by its uid,
/// is for a caller who is root, as in many containers: some servers refuse to run as root.
///
/// - Ids: the uid and gid in `/etc/passwd`, and the groups in `/etc/group`. A uid without a line has a
///   gid of the same number, and no other group.
/// - Rights: those of that user over files. The body keeps all capabilities over its namespaces, so
///   it can change its network, but for those over files, owners and ids. Without a user namespace
///   it keeps those over the network alone.
/// - Environment and working directory stay the caller's; that user may not be able to read there.
///
/// An ordinary caller can be no other user than itself, unless the body has subordinate ids.
///
/// With `ids = "subordinate"` the body has the ids that `/etc/subuid` and `/etc/subgid` assign to the
/// caller, beside its own: a daemon under `user = "root"` can drop its rights. The caller's own id is
/// that of the body's user, so the caller's files are that user's; the other ids from 0 on are those
/// of the files, in order. The kernel lets only `newuidmap` and `newgidmap` map them, so these programs
/// run before each such test, for a few milliseconds. Where the caller is root, the body has all of
/// the caller's ids anyway, and no program runs.
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
/// The interface has multicast, broadcast and an MTU of 1500. All addresses are usable when the body
/// begins. Groups and broadcasts go to `eth0`, unless a socket names another interface. There is no
/// default route: a connection to the outside fails at once with `ENETUNREACH`.
///
/// The neighbour is a network namespace without a process. Its kernel answers ARP, neighbour
/// solicitations and ping, and refuses connections. It ends with the test. A cable takes the kernel's
/// module `veth`; where that is missing the test fails and names it. Several hosts are built with
/// `Topology`.
///
/// # With other attributes
///
/// Attributes are expanded from the top down. One above this attribute has been expanded before it,
/// so what it makes of the function is the test. One below it is placed as follows:
///
/// | attribute below | placed on |
/// |---|---|
/// | `#[ignore]`, `#[should_panic]`, `#[cfg]`, `#[doc]`, lints (`#[allow]`, `#[expect]`, …), `#[deprecated]`, `#[must_use]`, `#[no_mangle]` and others of the language, `#[clippy::…]` and those of other tools | the function that the test runner calls |
/// | `#[inline]`, `#[cold]`, `#[track_caller]`, `#[target_feature]`, `#[instruction_set]` | the body |
/// | `#[serial]`, `#[parallel]` and their `file_` forms of the crate `serial_test` | the function that the test runner calls: tests share the lock there, and the body's time does not run while a test waits for it. Above this attribute `#[serial]` has no effect, since each body is a process of its own |
/// | any other (`#[instrument]`, `#[traced_test]`, `#[timeout]`, your own) | the body: the code that it adds runs inside the namespaces |
///
/// # With other test attributes
///
/// Exactly one of the attributes registers the test. Write this one on top; the exceptions are below.
///
/// | other attribute | order |
/// |---|---|
/// | `#[test]` | not needed; accepted below this one, a compile error above it |
/// | `#[tokio::test]` | above or below; it makes the runtime, inside the namespaces. Its options `flavor = "local"`, `name`, `unhandled_panic` and `crate = "tokio"` are not options of this attribute: keep `#[tokio::test(…)]` below `#[netns_test]` |
/// | `#[test_log::test]`, `#[gtest]`, `#[googletest::test]` | above or below |
/// | any other path that ends in `test`, as `#[async_std::test]`, `#[actix_rt::test]`, `#[futures_test::test]`, `#[smol_potat::test]` | below; above is a compile error, since these make a test of their own first |
/// | `#[rstest]` | above or below; if `#[rstest]` is above, put this one after the last `#[case]`, because `rstest` assigns an attribute that stands before a `#[case]` to that case alone (a compile error), and on an `async fn` write `#[netns_test::test]`, because `rstest` asks for a test attribute by that name |
/// | `#[test_case]`, `#[test_matrix]` | above or below |
///
/// The two compile errors come from the source text and need Rust 1.88. Where the compiler cannot
/// show the other attribute (an older compiler, an attribute under another name, a macro that adds
/// `#[test]`), the run finds a test that is registered twice: the body runs once, and the second
/// registration fails with the reason. Calls of a test function by other code are not counted.
///
/// An attribute on the body that would add further tests cannot: the compiler warns ("cannot test
/// inner items"). If it leaves no function of the name, that is a compile error.
///
/// Some attributes look for an attribute whose path ends in `test` and add `#[test]` if there is
/// none. For those there is [`macro@test`], which is the same macro by another name.
#[proc_macro_attribute]
pub fn netns_test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(&args.into(), &item.into()).into()
}

/// The same as [`macro@netns_test`], by a name that other test attributes recognise.
///
/// Attributes such as `#[rstest]` and `#[gtest]` let the user choose the test attribute, and find
/// it by the last segment of its path, which has to be `test`. Write it with its crate,
/// `#[netns_test::test]`: an import of the bare name would hide the built-in `#[test]`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(&args.into(), &item.into()).into()
}

/// Sets options for every test of a module and of the modules in it, unless the test has its own.
///
/// At the top of a file it is for the file, at the root of a crate (`src/lib.rs`, `tests/name.rs`)
/// for the crate. Where several modules around a test set an option, the nearest counts. It takes
/// `timeout`, `user`, `ids`, `network` and `crate`, as the attribute does, and stands once in a
/// module. A library puts it below `#[cfg(test)]`, since `netns-test` is a dependency of its tests
/// alone.
///
/// ```ignore
/// netns_test::defaults! { network = "lan", timeout = "5s" }
///
/// #[netns_test]
/// fn has_an_interface() {}
///
/// #[netns_test(network = "loopback")]
/// fn has_none() {}
/// ```
#[proc_macro]
pub fn defaults(args: TokenStream) -> TokenStream {
    expand::defaults(&args.into()).into()
}
