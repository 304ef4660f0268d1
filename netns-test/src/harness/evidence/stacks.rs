//! The stacks of a test whose time is over, by a debugger in a child of init.
//!
//! The debugger stops the threads, and a system call that it has interrupted may fail then. So the
//! log of the test is not read any more once a debugger was started.

use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use crate::env;
use crate::env::Stacks as Wanted;
use crate::evidence::facts::stacks::Stacks;
use crate::examine;
use crate::harness::evidence::examiner::Evidence;
use crate::sys::fds;
use crate::sys::process::progress;

/// Least time for a debugger.
const LEAST: Duration = Duration::from_millis(100);

/// Most bytes of its output.
const MOST: usize = 512 << 10;

impl Evidence<'_> {
    /// Returns the stacks that a debugger has printed until `end`, a moment of [`progress::now`];
    /// none if none is wanted or installed. The debugger has ended then.
    pub(super) fn stacks(&self, end: Duration) -> Option<Stacks> {
        let left = end.saturating_sub(progress::now());
        let is_wanted = env::stacks() == Wanted::Auto;
        let path = env::search_path().filter(|_| is_wanted && left >= LEAST)?;
        let answer = self.of_child(left, |pipe, _| become_debugger(self.body(), &path, pipe));
        match answer {
            Ok((bytes, end)) => of_output(&bytes, end, left),
            Err(error) => Some(Stacks { problem: error.to_string(), ..Stacks::default() }),
        }
    }
}

fn become_debugger(body: i32, path: &OsStr, pipe: std::os::fd::BorrowedFd<'_>) {
    let output = pipe.try_clone_to_owned();
    let end = output.and_then(|output| examine::become_debugger(body, path, output));
    if let Err(error) = end {
        drop(fds::write_all(pipe, error.to_string().as_bytes()));
    }
}

/// Splits what the child has written: the path of the debugger is its first line.
fn of_output(bytes: &[u8], end: Result<(), Error>, left: Duration) -> Option<Stacks> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let (program, output) = text.split_once('\n')?;
    let problem = match end {
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            format!("it was not done after {:.1} s, and was killed", left.as_secs_f64())
        }
        Err(error) => error.to_string(),
        Ok(()) if bytes.len() > MOST => format!("it has printed more than {MOST} bytes"),
        Ok(()) => String::new(),
    };
    Some(Stacks { program: program.to_owned(), output: output.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_debugger_comes_first() {
        let second = Duration::from_secs(1);
        assert_eq!(of_output(b"", Ok(()), second), None);
        let done = of_output(b"/bin/gdb\na\nb\xff", Ok(()), second).unwrap();
        assert_eq!((&*done.program, &*done.output), ("/bin/gdb", "a\nb\u{fffd}"));
        assert_eq!(done.problem, "");
        let late = of_output(b"/bin/gdb\n", Err(ErrorKind::TimedOut.into()), second).unwrap();
        assert_eq!(late.problem, "it was not done after 1.0 s, and was killed");
        let long = [b"/bin/gdb\n".as_slice(), &vec![b'x'; 2 * MOST]].concat();
        let long = of_output(&long, Ok(()), second).unwrap();
        assert!(long.output.len() < MOST && long.problem.contains("more than"));
    }
}
