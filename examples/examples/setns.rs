//! `setns NAME COMMAND...` runs a command in the network namespace of that name, which is made if
//! it is not there. It is the namespace that `ip netns add NAME` makes and `ip netns exec` enters.
//!
//! ```sh
//! cargo build -p netns-test-examples --examples
//! sudo ip netns add ns1
//! sudo ip link add veth0 type veth peer name veth1
//! sudo ip link set veth1 netns ns1
//! sudo target/debug/examples/setns ns1 ip link   # lo and veth1
//! ```
//!
//! The exit status is the command's; 127 if there is no such command, 126 if it cannot be run, and
//! 125 if it was not tried, as env(1) and others have it.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use netns_test::{NamedNetNs, NetNs};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(name), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: setns NAME COMMAND...");
        return ExitCode::from(125);
    };
    if let Err(error) = enter(&name) {
        eprintln!("setns: {error}");
        return ExitCode::from(125);
    }
    // This process becomes the command: with its exit status, its signals, its terminal.
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("setns: {}: {error}", program.to_string_lossy());
    ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
}

/// Moves this process, which has one thread, for good.
fn enter(name: &OsStr) -> Result<(), Box<dyn Error>> {
    let name = name.to_str().ok_or("the name is not UTF-8")?;
    Ok(create_or_open(name)?.set_current_thread()?)
}

/// In this order: when another process makes the namespace at the same time, `create` returns its
/// answer once that one is there.
fn create_or_open(name: &str) -> netns_test::Result<NetNs> {
    match NamedNetNs::create(name) {
        // The name stays when this program has ended.
        Ok(created) => Ok(created.keep()),
        Err(error) => match error.raw_os_error().map(io::Error::from_raw_os_error) {
            Some(reason) if reason.kind() == ErrorKind::AlreadyExists => NamedNetNs::open(name),
            _ => Err(error),
        },
    }
}
