//! A network namespace from scratch: made, pinned, entered, joined by a second process, unpinned.
//!
//! A namespace lives as long as something holds it: a process in it, a handle, or a mount. The
//! mount is what pins it: a process that comes later joins it by the path.
//!
//! ```sh
//! cargo build -p netns-test-examples --examples
//! sudo target/debug/examples/netns_from_scratch
//! ```

use std::env;
use std::error::Error;
use std::process::{self, Command};

use netns_test::{NamedNetNs, NetNs};

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        None => make(),
        // Started again by the function below.
        Some(name) => join(&name),
    }
}

/// The first process.
fn make() -> Result<(), Box<dyn Error>> {
    println!("before: {}", NetNs::current()?);

    // As `ip netns add` does it. Whatever fails from here on, the name is taken away.
    let name = process::id().to_string();
    let pinned = NamedNetNs::create(&name)?;
    println!("pinned: {} at {}", pinned.netns(), pinned.path().display());

    {
        let _guard = pinned.netns().enter()?;
        println!("inside: {}", NetNs::current()?);
    } // The guard brings the thread back.
    println!("after: {}", NetNs::current()?);

    let status = Command::new(env::current_exe()?).arg(&name).status()?;
    if !status.success() {
        return Err(format!("the second process ended with {status}").into());
    }

    // Dropping `pinned` would do it as well, but could not report an error.
    let path = pinned.path().to_owned();
    pinned.keep();
    NamedNetNs::remove(&name)?;
    println!("unpinned: {} is {}", path.display(), if path.exists() { "there" } else { "gone" });
    Ok(())
}

/// The second process, which knows nothing but the name.
fn join(name: &str) -> Result<(), Box<dyn Error>> {
    NamedNetNs::open(name)?.set_current_thread()?;
    println!("second process: {}", NetNs::current()?);
    Ok(())
}
