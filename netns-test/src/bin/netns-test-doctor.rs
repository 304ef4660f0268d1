//! Reports whether tests can be isolated on this machine, why not, and which features of the
//! kernel labs can use. `--json` prints the same for programs. The exit status is 0 if tests can be
//! isolated, and 1 if not.

fn main() -> std::process::ExitCode {
    netns_test::__rt::doctor()
}
