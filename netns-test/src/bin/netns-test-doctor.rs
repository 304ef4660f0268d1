//! Tells whether tests can be isolated on this machine, why not, and what of the kernel labs can
//! use. `--json` for machines; exit status 0 if tests can be isolated, 1 if not.

fn main() -> std::process::ExitCode {
    netns_test::__rt::doctor()
}
