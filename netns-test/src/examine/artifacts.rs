//! Reads the files that a test has put into its directory for artifacts. The test may have put
//! anything there, and may still run.

use std::path::Path;
use std::rc::Rc;

use crate::evidence::code::Content;
use crate::evidence::facts::artifact::{Artifact, DIRECTORY};
use crate::examine::budget::Budget;
use crate::examine::gaps::OVER;
use crate::sys::errno;
use crate::sys::fds::folder::{Entry, Folder};

/// Most bytes of all files.
const MOST: usize = 12 << 20;

/// Most files and directories.
const MOST_ENTRIES: usize = 200;

/// Most directories above a file.
const DEEPEST: usize = 8;

/// Reports the files until the time is over.
pub(super) fn read(budget: Budget, report: &mut dyn FnMut(Artifact)) {
    let [parent, name] = DIRECTORY;
    let mut walk = Walk { budget, entries: MOST_ENTRIES, files: Vec::new(), report };
    match Folder::at(Path::new(parent)).and_then(|parent| parent.open(name)) {
        Ok(folder) => walk.folder(&Rc::new(folder), "", DEEPEST),
        Err(error) => walk.problem("", &errno::describe(&error)),
    }
    walk.files();
}

/// A regular file: the directory that it is in, its name there, its path, and its size.
struct Found {
    folder: Rc<Folder>,
    name: String,
    path: String,
    size: u64,
}

struct Walk<'a> {
    budget: Budget,
    /// Number of entries that are left.
    entries: usize,
    files: Vec<Found>,
    report: &'a mut dyn FnMut(Artifact),
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Rc<Folder>, path: &str, depth: usize) {
        let (names, has_more) = match folder.first_names(self.entries) {
            Ok(found) => found,
            Err(error) => return self.problem(path, &errno::describe(&error)),
        };
        for name in names {
            if self.entries == 0 {
                return;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            if self.budget.is_over() {
                self.entries = 0;
                return self.problem(&path, OVER);
            }
            self.entries -= 1;
            if let Err(problem) = self.entry((folder, &name), &path, depth) {
                self.problem(&path, &problem);
            }
        }
        if has_more {
            self.problem(path, &format!("it has more than {MOST_ENTRIES} files"));
        }
    }

    fn entry(
        &mut self,
        (folder, name): (&Rc<Folder>, &str),
        path: &str,
        depth: usize,
    ) -> Result<(), String> {
        let said = |error| errno::describe(&error);
        match folder.entry(name).map_err(said)? {
            Entry::Other(kind) => Err(format!("it is {kind}")),
            Entry::Directory if depth == 0 => Err("it is too deep".to_owned()),
            Entry::Directory => {
                self.folder(&Rc::new(folder.open(name).map_err(said)?), path, depth - 1);
                Ok(())
            }
            Entry::Regular(size) => {
                let (folder, name, path) = (Rc::clone(folder), name.to_owned(), path.to_owned());
                self.files.push(Found { folder, name, path, size });
                Ok(())
            }
        }
    }

    /// Reads the files: the smallest first, so that a large one does not take the room of others.
    fn files(&mut self) {
        let mut files = std::mem::take(&mut self.files);
        files.sort_by_key(|file| file.size);
        let mut left = MOST;
        for Found { folder, name, path, size } in files {
            if self.budget.is_over() {
                return self.problem(&path, OVER);
            }
            match folder.read(&name, left) {
                Ok(content) => {
                    left -= content.len();
                    let content = Content(content);
                    (self.report)(Artifact { path, content, size, ..Artifact::default() });
                }
                Err(error) => self.problem(&path, &errno::describe(&error)),
            }
        }
    }

    fn problem(&mut self, path: &str, problem: &str) {
        let (path, problem) = (path.to_owned(), problem.to_owned());
        (self.report)(Artifact { path, problem, ..Artifact::default() });
    }
}
