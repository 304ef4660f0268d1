//! Files and directories that another process fills, read up to a limit.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// First size of a buffer: most files of the kernel fit into it.
const FIRST: usize = 8 << 10;

/// Lists at most `most` names in a directory at `path` below `directory`. Returns whether there are
/// more.
pub(crate) fn first_names_in(
    directory: &OwnedFd,
    path: &str,
    most: usize,
) -> io::Result<(Vec<String>, bool)> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = nix::dir::Dir::openat(directory, path, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | ".."));
        let Some(name) = name else { continue };
        if names.len() == most {
            return Ok((names, true));
        }
        names.push(name.to_owned());
    }
    Ok((names, false))
}

/// Reads at most `most` bytes of a file.
pub(crate) fn read_bytes_in(directory: &OwnedFd, path: &str, most: usize) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(directory, path, flags, Mode::empty())?;
    let mut bytes = vec![0; FIRST.min(most)];
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length == most {
                break;
            }
            bytes.resize((4 * length).min(most), 0);
        }
        match nix::unistd::read(&file, &mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The same as text.
pub(crate) fn read_text_in(directory: &OwnedFd, path: &str, most: usize) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes_in(directory, path, most)?).into_owned())
}

/// Reads the target of a symbolic link.
pub(crate) fn read_link_in(directory: &OwnedFd, path: &str) -> io::Result<String> {
    Ok(nix::fcntl::readlinkat(directory, path)?.to_string_lossy().into_owned())
}
