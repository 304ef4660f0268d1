//! The figure of output: 100 MB that a test prints and libtest captures.

use std::error::Error;
use std::ffi::CStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::tests::Bench;
use crate::floor::calls::check;
use crate::measure::binary::{Way, passes};
use crate::measure::figure::{Effort, Figure};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Number of bytes printed, in lines of 64 bytes.
const PRINTED: usize = 100_000_000;

/// Compares a run of the test, from start to end of its program, with `cat` and a reader that keeps
/// all.
pub(crate) fn captured(bench: &Bench) -> Result<Figure> {
    let bytes = [&[b'x'; 63][..], b"\n"].concat().repeat(PRINTED / 64);
    let mut file = in_memory(c"output")?;
    file.write_all(&bytes)?;
    let binary = bench.binary.clone();
    Ok(Figure {
        name: "100 MB of output, captured",
        floor_name: "`cat` through a pipe, kept",
        target: None,
        batch: 1,
        rounds: if bench.effort == Effort::Full { 15 } else { 1 },
        work: Box::new(move |_| {
            let start = Instant::now();
            passes(&mut binary.run(Way::Cold, 1, &["hundred_mb"]), 1)?;
            Ok(start.elapsed())
        }),
        floor: Box::new(move |_| {
            file.rewind()?;
            let start = Instant::now();
            let stdin = Stdio::from(file.try_clone()?);
            let mut cat = Command::new("cat").stdin(stdin).stdout(Stdio::piped()).spawn()?;
            let mut kept = Vec::new();
            cat.stdout.take().expect("stdout is a pipe").read_to_end(&mut kept)?;
            let status = cat.wait()?;
            let time = start.elapsed();
            if !status.success() || kept != bytes {
                return Err("cat has lost some of it".into());
            }
            Ok(time)
        }),
    })
}

fn in_memory(name: &CStr) -> Result<File> {
    // SAFETY: a C string that lives through the call.
    let file = check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { File::from_raw_fd(file) })
}
