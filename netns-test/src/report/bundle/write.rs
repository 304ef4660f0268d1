//! Writes a bundle: complete or not at all, and without following links that a test may have put
//! there.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::report::bundle::contents::File;
use crate::report::bundle::place::Place;
use crate::sys::fds::folder::Folder;

/// File in the directory of a test with the id of the test run that its attempts belong to.
const RUN: &str = ".run";

/// Beginnings of the names in the directory of a test that this file makes.
const OWN: [&str; 3] = ["attempt-", ".tmp-", ".old-"];

/// Writes the files to the place.
///
/// # Errors
///
/// With the step, the object and the reason.
pub(crate) fn write(place: &Place, files: &[File]) -> Result<(), String> {
    let test = directory_of_test(place)?;
    static LAST: AtomicU32 = AtomicU32::new(0);
    let own = format!("{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
    let (new, old) = (format!(".tmp-{own}"), format!(".old-{own}"));
    let done = fill(&test, &new, files)
        .and_then(|()| clear(&test, place, &new))
        .and_then(|()| put(&test, (&new, &old), &place.attempt));
    // What is left of it is of no use.
    drop((test.remove(&new), test.remove(&old)));
    done
}

/// Opens the directory of the test, which is made if it is not there.
fn directory_of_test(place: &Place) -> Result<Folder, String> {
    let mut path = place.base.clone();
    if place.is_made {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| reason("make", &path.display(), &error))?;
    }
    let mut folder = Folder::at(&path).map_err(|error| reason("open", &path.display(), &error))?;
    for name in &place.below {
        path.push(name);
        folder = folder.make(name).map_err(|error| reason("make", &path.display(), &error))?;
    }
    Ok(folder)
}

/// Removes the attempts of an earlier test run, but not `new`. Without an id each run has one
/// attempt.
fn clear(test: &Folder, place: &Place, new: &str) -> Result<(), String> {
    let run = place.run.as_deref().unwrap_or_default();
    let is_same = || test.read(RUN, run.len() + 1).is_ok_and(|id| id == run.as_bytes());
    if !run.is_empty() && is_same() {
        return Ok(());
    }
    let names = test.names().map_err(|error| reason("list", &"the attempts before", &error))?;
    let is_own = |name: &&String| OWN.iter().any(|own| name.starts_with(own)) && *name != new;
    for name in names.iter().filter(is_own) {
        test.remove(name).map_err(|error| reason("remove", name, &error))?;
    }
    drop(test.remove(RUN));
    if !run.is_empty() {
        test.write_new(RUN, run.as_bytes()).map_err(|error| reason("write", &RUN, &error))?;
    }
    Ok(())
}

/// Writes the files to the new directory `name`.
fn fill(test: &Folder, name: &str, files: &[File]) -> Result<(), String> {
    let bundle = test.make(name).map_err(|error| reason("make", &name, &error))?;
    for file in files {
        write_in(&bundle, &file.name, &file.content)
            .map_err(|error| reason("write", &file.name, &error))?;
    }
    Ok(())
}

/// Writes a new file, and the directories above it.
fn write_in(folder: &Folder, path: &str, content: &[u8]) -> io::Result<()> {
    match path.split_once('/') {
        Some((name, rest)) => write_in(&folder.make(name)?, rest, content),
        None => folder.write_new(path, content),
    }
}

/// Moves the complete directory to its place. One that is there is moved away first.
fn put(test: &Folder, (new, old): (&str, &str), attempt: &str) -> Result<(), String> {
    match test.rename(attempt, old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(reason("rename", &attempt, &error));
        }
        _ => {}
    }
    test.rename(new, attempt).map_err(|error| reason("rename", &new, &error))
}

fn reason(step: &str, object: &dyn std::fmt::Display, error: &io::Error) -> String {
    format!("the evidence was not kept: {step} {object}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("netns-test-bundle-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        path
    }

    fn place(base: &std::path::Path, attempt: u32, run: Option<&str>) -> Place {
        Place {
            base: base.into(),
            is_made: true,
            below: vec!["p".into(), "t".into()],
            attempt: format!("attempt-{attempt}"),
            run: run.map(str::to_owned),
        }
    }

    fn files(text: &str) -> Vec<File> {
        let file = |name: &str| File { name: name.into(), content: text.into(), left_out: 0 };
        vec![file("report.txt"), file("logs/a.log")]
    }

    fn listed(base: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(base.join("p/t")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_bundle_replaces_the_one_before() {
        let base = scratch("replace");
        for text in ["one", "two"] {
            write(&place(&base, 1, None), &files(text)).unwrap();
            assert_eq!(listed(&base), ["attempt-1"]);
            for name in ["report.txt", "logs/a.log"] {
                let path = base.join("p/t/attempt-1").join(name);
                assert_eq!(fs::read_to_string(path).unwrap(), text);
            }
        }
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn attempts_of_one_run_are_kept_apart() {
        let base = scratch("attempts");
        for attempt in [1, 2, 2] {
            write(&place(&base, attempt, Some("a")), &files("")).unwrap();
        }
        assert_eq!(listed(&base), [".run", "attempt-1", "attempt-2"]);
        write(&place(&base, 1, Some("b")), &files("")).unwrap();
        assert_eq!(listed(&base), [".run", "attempt-1"]);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_link_in_the_way_is_refused_or_replaced() {
        let (base, other) = (scratch("links"), scratch("links-other"));
        fs::write(other.join("kept"), "").unwrap();
        symlink(&other, base.join("p")).unwrap();
        let refused = write(&place(&base, 1, None), &files("")).unwrap_err();
        assert!(refused.starts_with("the evidence was not kept: make "), "{refused}");
        fs::remove_file(base.join("p")).unwrap();
        fs::create_dir_all(base.join("p/t")).unwrap();
        symlink(&other, base.join("p/t/attempt-1")).unwrap();
        write(&place(&base, 1, None), &files("")).unwrap();
        assert!(base.join("p/t/attempt-1/report.txt").exists());
        let names: Vec<_> = fs::read_dir(&other).unwrap().collect();
        assert_eq!(names.len(), 1);
        fs::remove_dir_all(base).unwrap();
        fs::remove_dir_all(other).unwrap();
    }
}
