//! The doctor, a program that reports what this machine allows. It sets up a sandbox step by step,
//! as the harness does for a test, and tries the features of the kernel that labs use.

pub(crate) mod attempt;
pub(crate) mod features;
pub(crate) mod json;
pub(crate) mod report;
pub(crate) mod text;

use std::process::ExitCode;

use crate::doctor::report::VERSION;

const USAGE: &str = "\
Checks whether netns-test can isolate tests on this machine.

usage: netns-test-doctor [--json]

  --json     print one JSON object instead of text
  --help     print this
  --version  print the version

It creates each kind of link that labs use, for which the kernel may load modules. Those of
dummy and ifb add idle links to the machine, unless a modprobe option prevents that.

exit status: 0 if tests can be isolated, 1 if not, 2 if the arguments are wrong
";

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_str()).collect();
    let print = match arguments[..] {
        [] => text::print,
        [Some("--json")] => json::print,
        [Some("--help" | "-h")] => return say(USAGE),
        [Some("--version" | "-V")] => return say(&format!("netns-test {VERSION}\n")),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let report = report::examine();
    let is_printed = say(&print(&report)) == ExitCode::SUCCESS;
    ExitCode::from(u8::from(!(report.is_isolated() && is_printed)))
}

fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
