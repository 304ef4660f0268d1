//! The program that tells what this machine allows: it does what the harness does for a test,
//! step by step, and tries the parts of the kernel that labs are made of.

pub(crate) mod attempt;
pub(crate) mod features;
pub(crate) mod json;
pub(crate) mod report;
pub(crate) mod text;

use std::process::ExitCode;

use crate::doctor::report::VERSION;

const USAGE: &str = "\
Tells whether netns-test can isolate tests on this machine.

usage: netns-test-doctor [--json]

  --json     print one JSON object instead of text
  --help     print this
  --version  print the version

It asks the kernel for each kind of link that labs are made of, for which the kernel may
load modules; those of dummy and ifb may add idle links to the machine, unless it is told
not to.

exit status: 0 if tests can be isolated, 1 if not, 2 if the arguments are wrong
";

/// The whole program.
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
    let is_told = say(&print(&report)) == ExitCode::SUCCESS;
    ExitCode::from(u8::from(!(report.is_isolated() && is_told)))
}

fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
