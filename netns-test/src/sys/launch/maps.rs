//! The id maps of a program's user namespace.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;

use crate::sys::fds;
use crate::sys::launch::refusal::{Call, Refusal, Refused as _};
use crate::sys::mount::mount_api;
use crate::sys::process;
use crate::sys::process::{Pid, Side, Status};

/// The id maps, with the process that writes them.
#[derive(Debug)]
pub(crate) enum Maps {
    /// No maps: there is no new user namespace.
    None,
    /// One uid and one gid, the caller's; init writes them itself.
    Own { uid: Vec<u8>, gid: Vec<u8> },
    /// Any maps; the monitor writes them, which has the capabilities.
    All { uid: Vec<u8>, gid: Vec<u8> },
    /// Subordinate ids; set-user-ID programs write them (newuidmap(1)).
    Helpers { uid: Helper, gid: Helper },
}

/// A program that writes maps.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) program: CString,
    /// Its arguments after the process id: inside, outside, count, and so on.
    pub(crate) ranges: Vec<CString>,
}

/// The most ranges in a map (`user_namespaces(7)`).
pub(crate) const MOST_RANGES: usize = 340;

/// The most bytes of a helper's output that are passed on.
const MOST_WORDS: usize = 512;

/// The output of a helper that failed.
pub(crate) struct Words {
    buffer: [u8; MOST_WORDS],
    length: usize,
}

impl Words {
    pub(crate) fn none() -> Self {
        Self { buffer: [0; MOST_WORDS], length: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Maps {
    /// Writes the maps that init writes itself, in its new namespace.
    pub(crate) fn write_own(&self) -> Result<(), Refusal> {
        let Self::Own { uid, gid } = self else { return Ok(()) };
        let proc = fds::open_place(std::path::Path::new("/proc/self")).on(Call::UserMap)?;
        mount_api::write_in(&proc, c"setgroups", b"deny").on(Call::SetGroupsFile)?;
        mount_api::write_in(&proc, c"uid_map", uid).on(Call::UserMap)?;
        mount_api::write_in(&proc, c"gid_map", gid).on(Call::GroupMap)
    }

    /// Writes the maps that the monitor writes for `init`. If a helper fails, its output is in
    /// `words`.
    pub(crate) fn write_for(&self, init: Pid, words: &mut Words) -> Result<(), Refusal> {
        let mut buffer = [0; 12];
        let number = decimal(init, &mut buffer);
        match self {
            Self::None | Self::Own { .. } => Ok(()),
            Self::All { uid, gid } => {
                let place = std::path::Path::new("/proc");
                let proc = fds::open_place(place).on(Call::UserMap)?;
                let own = mount_api::open_in(&proc, number).on(Call::UserMap)?;
                mount_api::write_in(&own, c"uid_map", uid).on(Call::UserMap)?;
                mount_api::write_in(&own, c"gid_map", gid).on(Call::GroupMap)
            }
            Self::Helpers { uid, gid } => {
                run(uid, number, words).on(Call::UserMapHelper)?;
                run(gid, number, words).on(Call::GroupMapHelper)
            }
        }
    }
}

/// Writes the maps of the child `init`, as its parent. An error has the output of a helper.
pub(crate) fn write_maps(maps: &Maps, init: Pid) -> Result<(), (Refusal, String)> {
    let mut words = Words::none();
    maps.write_for(init, &mut words)
        .map_err(|refusal| (refusal, String::from_utf8_lossy(words.bytes()).into_owned()))
}

/// Runs a helper to its end.
fn run(helper: &Helper, number: &CStr, words: &mut Words) -> io::Result<()> {
    let (output, writer) = fds::pipe()?;
    match process::clone(0)? {
        Side::Child => become_helper(helper, number, &writer),
        Side::Parent(pid) => {
            drop(writer);
            words.length = 0;
            while let Some(rest) = words.buffer.get_mut(words.length..).filter(|b| !b.is_empty()) {
                match fds::read_available(&output, rest) {
                    Ok(Some(length)) if length > 0 => words.length += length,
                    _ => break,
                }
            }
            match process::reap_aside(pid) {
                Some(Status::Exited(0)) => Ok(()),
                // As std reports a program that cannot be started.
                Some(Status::Exited(NOT_STARTED)) => Err(nix::errno::Errno::ENOENT.into()),
                _ => Err(nix::errno::Errno::EPERM.into()),
            }
        }
    }
}

/// The status of a helper that could not be started.
const NOT_STARTED: i32 = 127;

fn become_helper(helper: &Helper, number: &CStr, stderr: &OwnedFd) -> ! {
    // The helper must not inherit the caller's pipes. A standard stream may be closed.
    let installed = fds::install_stdio(stderr, 2);
    let mut arguments = [std::ptr::null(); 3 * MOST_RANGES + 3];
    let own = [helper.program.as_c_str(), number];
    let all = own.into_iter().chain(helper.ranges.iter().map(CString::as_c_str));
    for (place, argument) in arguments.iter_mut().zip(all) {
        *place = argument.as_ptr();
    }
    let environment = [std::ptr::null()];
    if installed.is_ok() && helper.ranges.len() <= 3 * MOST_RANGES {
        // SAFETY: both arrays end with a null pointer, and their C strings live through the call.
        unsafe {
            libc::execve(helper.program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        }
    }
    process::exit_now(NOT_STARTED)
}

/// Formats a process id as a C string.
fn decimal(number: Pid, buffer: &mut [u8; 12]) -> &CStr {
    let mut rest = number.unsigned_abs();
    let mut at = buffer.len() - 1;
    loop {
        at -= 1;
        if let Some(place) = buffer.get_mut(at) {
            *place = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    buffer.get(at..).and_then(|bytes| CStr::from_bytes_until_nul(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for number in [0, 1, 10, 4_194_304, i32::MAX] {
            let mut buffer = [0; 12];
            assert_eq!(decimal(number, &mut buffer).to_str(), Ok(number.to_string().as_str()));
        }
    }
}
