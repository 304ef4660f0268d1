//! The machine's `/run`, read once: the entries for a sandbox, and the timestamps by which a later
//! change is found.

use std::cell::OnceCell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::isolate::run_dir::mounted::Mounted;
use crate::isolate::run_dir::rules;
use crate::isolate::run_dir::rules::{DEEPEST, LARGEST_COPY, MOST, MOST_IN_ONE, Treatment};
use crate::sys::fds::entries;
use crate::sys::fds::entries::{Changed, Directory, Found, Kind, MountId};

/// Directory of the machine, as a sandbox copies it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Entries for the sandbox, each directory before its own entries.
    pub(crate) entries: Vec<Entry>,
    /// Time of the last change of each source directory and file, with its path.
    pub(crate) changed: Vec<(PathBuf, Changed)>,
    directory: &'static Path,
    /// Mount of the directory.
    own: MountId,
    mounted: OnceCell<Mounted>,
}

/// Entry of the sandbox's directory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Path below the directory.
    pub(crate) path: PathBuf,
    pub(crate) what: What,
}

/// Kind of the entry in the sandbox.
#[derive(Debug)]
pub(crate) enum What {
    Directory {
        mode: u32,
        owner: (u32, u32),
    },
    File {
        mode: u32,
        owner: (u32, u32),
        content: Vec<u8>,
    },
    Link {
        target: OsString,
    },
    /// Link to the machine's entry.
    Host,
}

/// Choice whether to read the content of files and links, or only their attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Read,
    Ignored,
}

impl Machine {
    /// Reads the directory `opened`, which is at this path.
    ///
    /// Other processes may change entries meanwhile. It does not wait for such an entry and does
    /// not follow it, but leaves it out.
    pub(crate) fn read(
        directory: &'static Path,
        opened: &mut Directory,
        content: Content,
    ) -> io::Result<Self> {
        let found = entries::look_at_itself(&*opened)?;
        let mut reader = Reader {
            content,
            machine: Self {
                entries: Vec::new(),
                changed: vec![(directory.to_owned(), found.changed)],
                directory,
                own: found.mount,
                mounted: OnceCell::new(),
            },
        };
        let names = opened.list()?;
        reader.all(opened, names, &Above::top(found.mount));
        Ok(reader.machine)
    }

    /// Returns the mounts below the directory. The first call lists them, which is slow, and must
    /// come before a mount covers the directory.
    pub(crate) fn mounted(&self) -> &Mounted {
        self.mounted.get_or_init(|| Mounted::below(self.directory, self.own))
    }

    /// Returns the mounts below the directory, if they have been listed.
    pub(crate) fn known_mounts(&self) -> Option<&Mounted> {
        self.mounted.get()
    }
}

struct Reader {
    content: Content,
    machine: Machine,
}

/// Parent directory of an entry.
struct Above {
    path: PathBuf,
    mount: MountId,
    depth: usize,
    /// Whether only files of the directory are copied.
    is_covered: bool,
}

impl Above {
    fn top(mount: MountId) -> Self {
        Self { path: PathBuf::new(), mount, depth: 0, is_covered: false }
    }
}

type Names = Vec<(CString, Option<Kind>)>;

impl Reader {
    fn all(&mut self, directory: &Directory, names: Names, above: &Above) {
        for (name, kind) in names {
            // An entry that has gone meanwhile, or cannot be inspected, is left out.
            drop(self.one(directory, &name, kind, above));
        }
    }

    fn one(
        &mut self,
        directory: &Directory,
        name: &CStr,
        kind: Option<Kind>,
        above: &Above,
    ) -> io::Result<()> {
        let path = above.path.join(OsStr::from_bytes(name.to_bytes()));
        let treatment = match rules::treatment(&path) {
            Treatment::Absent => return Ok(()),
            _ if above.is_covered => Treatment::FilesAlone,
            treatment => treatment,
        };
        let (kind, found) = match kind {
            Some(kind @ (Kind::Link | Kind::Socket | Kind::Other)) => (kind, None),
            // A file of another kind may be mounted over the entry.
            _ => {
                let found = directory.look(name)?;
                (found.kind, Some(found))
            }
        };
        match (treatment, kind, found) {
            (Treatment::Linked, ..) => {
                self.note_covered_in(&path);
                self.add(path, What::Host);
            }
            (_, Kind::File, Some(found)) => self.file(directory, name, path, &found, above)?,
            (Treatment::FilesAlone, Kind::Directory, Some(found)) if !above.is_covered => {
                self.directory(directory, name, path, &found, above, true);
            }
            (Treatment::Own, Kind::Directory, Some(found)) => {
                self.directory(directory, name, path, &found, above, false);
            }
            (Treatment::Own, Kind::Link, _) => {
                let target = match self.content {
                    Content::Read => directory.read_link(name)?,
                    Content::Ignored => OsString::new(),
                };
                self.add(path, What::Link { target });
            }
            // A device: `/dev/null` may be mounted on a file, to hide it.
            (Treatment::Own, Kind::Socket, _) | (Treatment::Own, Kind::Other, Some(_)) => {
                self.add(path, What::Host);
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, path: PathBuf, what: What) {
        self.machine.entries.push(Entry { path, what });
    }

    fn note(&mut self, path: &Path, changed: Changed) {
        // Only the server compares timestamps, and it reads with `Ignored`.
        if self.content == Content::Ignored {
            self.machine.changed.push((self.machine.directory.join(path), changed));
        }
    }

    /// Notes the timestamps of resolvers' directories inside of a linked directory, which are
    /// copied.
    fn note_covered_in(&mut self, path: &Path) {
        if self.content == Content::Read {
            return;
        }
        let inside = rules::COVERED.iter().filter(|name| Path::new(name).starts_with(path));
        for name in inside {
            let name = self.machine.directory.join(name);
            if let Ok(changed) = entries::changed(&name) {
                self.machine.changed.push((name, changed));
            }
        }
    }

    fn directory(
        &mut self,
        directory: &Directory,
        name: &CStr,
        path: PathBuf,
        found: &Found,
        above: &Above,
        is_covered: bool,
    ) {
        let depth = above.depth + 1;
        let names = match self.is_state(found.mount, above.mount) && depth < DEEPEST {
            true => directory.open(name).and_then(|mut opened| Ok((opened.list()?, opened))),
            false => return self.add(path, What::Host),
        };
        let owner = (found.uid, found.gid);
        let own = What::Directory { mode: found.mode, owner };
        match names {
            Ok((names, opened)) => {
                if names.len() > MOST_IN_ONE || self.machine.entries.len() + names.len() > MOST {
                    return self.add(path, What::Host);
                }
                self.note(&path, found.changed);
                self.add(path.clone(), own);
                let inside = Above { path, mount: found.mount, depth, is_covered };
                self.all(&opened, names, &inside);
            }
            // A directory that the caller may not list is created empty.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.note(&path, found.changed);
                self.add(path, own);
            }
            Err(_) => {}
        }
    }

    fn file(
        &mut self,
        directory: &Directory,
        name: &CStr,
        path: PathBuf,
        found: &Found,
        above: &Above,
    ) -> io::Result<()> {
        let size = usize::try_from(found.size).unwrap_or(usize::MAX);
        let is_program = found.mode & 0o111 != 0;
        if size > LARGEST_COPY || is_program || !self.is_state(found.mount, above.mount) {
            self.link_file(path, above);
            return Ok(());
        }
        self.note(&path, found.changed);
        let content = match self.content {
            Content::Ignored => Vec::new(),
            Content::Read => match directory.read(name, size)? {
                Some(content) => content,
                // The file has grown.
                None => {
                    self.link_file(path, above);
                    return Ok(());
                }
            },
        };
        let owner = (found.uid, found.gid);
        self.add(path, What::File { mode: found.mode, owner, content });
        Ok(())
    }

    /// Links a large file, unless it is in a resolver's directory, where nothing is linked.
    fn link_file(&mut self, path: PathBuf, above: &Above) {
        if !above.is_covered {
            self.add(path, What::Host);
        }
    }

    /// Returns whether a mount belongs to the machine's state, as its parent mount `above` does.
    fn is_state(&self, mount: MountId, above: MountId) -> bool {
        mount == above || self.machine.mounted().is_state(mount)
    }
}
