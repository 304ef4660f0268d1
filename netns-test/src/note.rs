//! What a test adds to the report of its failure: notes on the timeline, and files.

use std::fmt;
use std::path::PathBuf;

use crate::error::Result;

/// Adds a line to the timeline that a failed test prints, with the time, and the node that the
/// calling thread is on: what the test is about to do, or has seen. A test that passes shows
/// nothing of it. Outside of a test body nothing is noted.
///
/// # Examples
///
/// ```no_run
/// netns_test::note("the listener is closed now");
/// ```
#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    expect(clippy::needless_pass_by_value, reason = "there are no bodies there")
)]
pub fn note(text: impl fmt::Display) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use crate::evidence::facts::event::{Event, EventKind};
        crate::evidence::log::note(|| Event::of(EventKind::Note, "", text));
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    drop(text);
}

/// Returns a directory for files that explain a failure: captures, dumps, logs of a library.
///
/// If the test fails, they are in the folder `artifacts` of its bundle, which the report names:
/// regular files, the first 200 and at most 12 MiB in all. Links are not followed, and other files
/// are left out. If the test passes, nothing is left of them.
///
/// The directory is made by the first call. It is in memory, in a file system of the test's own,
/// and the same one in each call and on each node of a lab.
///
/// # Examples
///
/// ```no_run
/// use netns_test::{artifact_dir, netns_test};
///
/// #[netns_test]
/// fn a_leader_is_elected() -> netns_test::Result<()> {
///     let log = std::fs::File::create(artifact_dir()?.join("election.log")).unwrap();
///     # drop(log);
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// If the calling process is not a test body, if `/run` could not be made private, or if the
/// directory cannot be made.
#[cfg(all(target_os = "linux", not(miri)))]
pub fn artifact_dir() -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;

    use crate::evidence::facts::artifact::DIRECTORY;
    use crate::evidence::log;
    use crate::evidence::record::Record;
    use crate::isolation::{IsolationMode, isolation};
    use crate::sys::errno;

    let [parent, name] = DIRECTORY;
    let path = PathBuf::from(parent).join(name);
    let failed =
        |error: std::io::Error| errno::failure("make", path.display().to_string(), &error).into();
    let isolation = isolation();
    if isolation.mode() == IsolationMode::Outside {
        return Err(failed(std::io::Error::other("the process is not a test body")));
    }
    let lacks = |text: &&String| text.starts_with("/run is the host's");
    if let Some(limitation) = isolation.limitations().iter().find(lacks) {
        return Err(failed(std::io::Error::other(limitation.clone())));
    }
    match std::fs::DirBuilder::new().mode(0o777).create(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(path),
        made => made.map_err(failed)?,
    }
    log::append(|| Record::Artifacts);
    Ok(path)
}

/// Returns an error: there are no test bodies on this system.
///
/// # Errors
///
/// Always.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub fn artifact_dir() -> Result<PathBuf> {
    let reason = "there are no test bodies on this system";
    Err(crate::error::Failure::new("make", "the directory for artifacts", reason).into())
}
