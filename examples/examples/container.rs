//! A small container: `container ROOTFS COMMAND...` runs a program with a directory as its root,
//! and with its own hostname, processes, mounts, users and network. It needs no rights.
//!
//! ```text
//! mkdir -p rootfs/bin rootfs/proc rootfs/sys rootfs/dev
//! cp /usr/bin/busybox rootfs/bin        # Debian: apt install busybox-static
//! cargo run -p netns-test-examples --example container -- rootfs /bin/busybox sh
//! ```
//!
//! Its end is the program's: exit status, or the number of a signal and 128, as a shell has it.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use netns_test::{Sandbox, SandboxUser};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [rootfs, program, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: container ROOTFS COMMAND...");
        return ExitCode::from(2);
    };
    // The caller is root in there, and nowhere else.
    let sandbox = Sandbox::new().rootfs(rootfs).hostname("container").user(SandboxUser::Root);
    // A shell is of use with a terminal only.
    let sandbox = sandbox.share_terminal();
    let mut command = sandbox.command(program);
    command.args(rest).env_clear().env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin");
    if let Some(terminal) = env::var_os("TERM") {
        command.env("TERM", terminal);
    }
    match command.status() {
        Ok(status) => {
            let code = status.code().or_else(|| Some(128 + status.signal()?));
            ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
        // Which step was refused, why, and what helps.
        Err(error) => {
            eprintln!("container: {error}");
            ExitCode::FAILURE
        }
    }
}
