//! The debugger that prints the stacks of a test's threads: found in `PATH`, if there is one.

use std::ffi::OsStr;
use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::sys::launch;
use crate::sys::process;
use crate::sys::process::Pid;
use crate::sys::process::caps;

/// Debuggers, the best first, with their arguments before and after the process id.
const DEBUGGERS: [(&str, &[&str], &[&str]); 2] = [
    // Inlined functions, and places in the source.
    ("eu-stack", &["-i", "-s", "-p"], &[]),
    ("gdb", &BEFORE, &["-ex", "thread apply all -ascending bt 100"]),
];

/// No file of the user, of the program or of the network is read but debug information.
const BEFORE: [&str; 11] = [
    "-nx",
    "-batch",
    "-iex",
    "set auto-load off",
    "-iex",
    "set debuginfod enabled off",
    "-iex",
    // Else it looks for files in the mount namespace of the process.
    "set sysroot /",
    "-iex",
    "set print frame-arguments none",
    "-p",
];

/// Becomes a debugger that prints the stacks of `body` to `output`, after a line with its own path.
/// Writes nothing if there is none in `path`.
///
/// # Errors
///
/// If the debugger cannot be started. It returns in no other case but this and that of none.
pub(crate) fn become_debugger(body: Pid, path: &OsStr, output: OwnedFd) -> io::Result<()> {
    let found = DEBUGGERS.iter().find_map(|debugger| Some((find(debugger.0, path)?, debugger)));
    let Some((program, (_, before, after))) = found else { return Ok(()) };
    let mut said = std::fs::File::from(output.try_clone()?);
    said.write_all(format!("{}\n", program.display()).as_bytes())?;
    process::die_with_parent()?;
    // A program of an ordinary user else has no right to look at a process that has capabilities.
    drop(caps::make_ambient());
    let body = body.to_string();
    let arguments: Vec<&str> = before.iter().chain([&&*body]).chain(*after).copied().collect();
    let variables = [("PATH", path), ("LC_ALL", OsStr::new("C")), ("HOME", OsStr::new("/"))];
    Err(launch::replace(&program, &arguments, &variables, output))
}

/// Returns the first program of this name in the absolute directories of `path`.
fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let places = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    places.map(|directory| directory.join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_an_executable_file_in_an_absolute_directory() {
        assert_eq!(find("sh", OsStr::new("/etc:/bin")), Some("/bin/sh".into()));
        for path in ["", ".", "bin", "/etc", "/bin/sh"] {
            assert_eq!(find("sh", OsStr::new(path)), None, "{path}");
        }
        assert_eq!(find("passwd", OsStr::new("/etc")), None);
        assert_eq!(find("etc", OsStr::new("/")), None);
    }
}
