//! Programs in a sandbox: they behave as those of `std::process::Command`, see nothing but what they
//! are to see, and leave nothing. Most tests are plain ones: a caller has threads and no rights.

mod commands;
mod file_system;
mod ids;
mod lifetime;
mod networks;
mod refused_steps;

use netns_test::SandboxCommand;

/// Runs a program that must succeed; returns its output.
fn stdout_of(command: &mut SandboxCommand) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{error}"));
    let text = netns_test_tests::text(&output);
    assert!(output.status.success(), "{:?}: {}: {text}", command.get_program(), output.status);
    String::from_utf8(output.stdout).unwrap()
}
