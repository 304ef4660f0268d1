//! Where a thread is, a new namespace, what is in it, and back.
//!
//! ```sh
//! cargo build -p netns-test-examples --examples
//! sudo target/debug/examples/interfaces
//! ```

use std::error::Error;
use std::{fs, io};

use netns_test::NetNs;

fn main() -> Result<(), Box<dyn Error>> {
    let own = NetNs::current()?;
    println!("current: {own} with {}", interfaces()?);

    // This thread is not moved: another one makes the namespace, and ends.
    let new = NetNs::new()?;
    println!("new: {new} with {}", new.run(interfaces)??);

    let back = NetNs::current()?;
    println!("back: {back} with {}", interfaces()?);

    println!("back == current: {}", back == own);
    println!("new == current: {}", new == own);
    Ok(())
}

/// The interfaces of the namespace that the calling thread is in, from the table behind `ip -s
/// link`. `/proc/net` would be that of the main thread, whatever thread asks.
fn interfaces() -> io::Result<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    // Two lines are the heading. In the others the name ends with a colon.
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    Ok(names.map(str::trim).collect::<Vec<_>>().join(", "))
}
