//! The report of a new process about a refused step. It needs no allocation.

use std::io;

/// A system call, or a write to a file that acts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Pipe,
    SignalMask,
    SignalDescriptor,
    OpenProcess,
    JoinNetwork,
    Clone,
    UserMap,
    GroupMap,
    SetGroupsFile,
    UserMapHelper,
    GroupMapHelper,
    DieWithParent,
    Dumpable,
    Fork,
    MakePrivate,
    OpenPlace,
    CopyTree,
    OpenKind,
    Configure,
    Create,
    Mount,
    Attach,
    ReadOnly,
    ChangeDirectory,
    Pivot,
    Detach,
    NewFile,
    NewDirectory,
    NewLink,
    Write,
    Hostname,
    Socket,
    Loopback,
    Groups,
    GroupId,
    UserId,
    Capabilities,
    Session,
    /// No refusal: the program goes on to exec.
    Begin,
}

/// The usual name of each call.
const CALLS: [(Call, &str); 39] = [
    (Call::Pipe, "pipe"),
    (Call::SignalMask, "sigprocmask"),
    (Call::SignalDescriptor, "signalfd"),
    (Call::OpenProcess, "pidfd_open"),
    (Call::JoinNetwork, "setns"),
    (Call::Clone, "clone"),
    (Call::UserMap, "write uid_map of"),
    (Call::GroupMap, "write gid_map of"),
    (Call::SetGroupsFile, "write setgroups of"),
    (Call::UserMapHelper, "newuidmap"),
    (Call::GroupMapHelper, "newgidmap"),
    (Call::DieWithParent, "prctl PR_SET_PDEATHSIG"),
    (Call::Dumpable, "prctl PR_SET_DUMPABLE"),
    (Call::Fork, "fork"),
    (Call::MakePrivate, "make private"),
    (Call::OpenPlace, "openat2"),
    (Call::CopyTree, "open_tree"),
    (Call::OpenKind, "fsopen"),
    (Call::Configure, "fsconfig"),
    (Call::Create, "fsconfig FSCONFIG_CMD_CREATE"),
    (Call::Mount, "fsmount"),
    (Call::Attach, "move_mount"),
    (Call::ReadOnly, "mount_setattr"),
    (Call::ChangeDirectory, "chdir"),
    (Call::Pivot, "pivot_root"),
    (Call::Detach, "umount"),
    (Call::NewFile, "create"),
    (Call::NewDirectory, "mkdir"),
    (Call::NewLink, "symlink"),
    (Call::Write, "write"),
    (Call::Hostname, "sethostname"),
    (Call::Socket, "socket"),
    (Call::Loopback, "ioctl SIOCSIFFLAGS"),
    (Call::Groups, "setgroups"),
    (Call::GroupId, "setresgid"),
    (Call::UserId, "setresuid"),
    (Call::Capabilities, "prctl, capset"),
    (Call::Session, "setsid"),
    (Call::Begin, "begin"),
];

/// A refused call, and the part of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) call: Call,
    pub(crate) errno: i32,
    pub(crate) at: At,
}

/// The part of the start in which a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In a step that every program has.
    Frame,
    /// The namespace that is refused, by its place in `ALL_NAMESPACES`.
    Namespace(u32),
    /// The step with this place in the plan.
    Step(u32),
    /// In a process that has ended without a report; the signal that ended it, or 0.
    Death(u32),
}

/// The length of an encoded refusal in bytes.
pub(crate) const LENGTH: usize = 16;

impl Call {
    pub(crate) fn name(self) -> &'static str {
        CALLS.iter().find(|(call, _)| *call == self).map_or("", |(_, name)| name)
    }

    /// Returns whether it is one of the calls for mounts, which the same rules forbid.
    pub(crate) fn is_of_mounts(self) -> bool {
        matches!(
            self,
            Self::OpenPlace
                | Self::CopyTree
                | Self::OpenKind
                | Self::Configure
                | Self::Create
                | Self::Mount
                | Self::Attach
                | Self::ReadOnly
                | Self::Pivot
                | Self::Detach
        )
    }
}

impl Refusal {
    /// Creates the refusal of a call that every start makes.
    pub(crate) fn new(call: Call, error: &io::Error) -> Self {
        Self { call, errno: error.raw_os_error().unwrap_or(libc::EIO), at: At::Frame }
    }

    /// The report of success, sent before exec.
    pub(crate) const BEGUN: Self = Self { call: Call::Begin, errno: 0, at: At::Frame };

    pub(crate) fn encode(self) -> [u8; LENGTH] {
        let (kind, at) = match self.at {
            At::Frame => (0, 0),
            At::Namespace(at) => (1, at),
            At::Step(at) => (2, at),
            At::Death(signal) => (3, signal),
        };
        let mut bytes = [0; LENGTH];
        let words = [self.call as u32, self.errno as u32, kind, at];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Decodes a refusal, and returns the rest of the message.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (own, rest) = bytes.split_at_checked(LENGTH)?;
        let word = |at: usize| Some(u32::from_ne_bytes(own.get(at..at + 4)?.try_into().ok()?));
        let at = match (word(8)?, word(12)?) {
            (0, _) => At::Frame,
            (1, at) => At::Namespace(at),
            (2, at) => At::Step(at),
            (3, signal) => At::Death(signal),
            _ => return None,
        };
        let (call, _) = CALLS.get(word(0)? as usize)?;
        Some((Self { call: *call, errno: word(4)? as i32, at }, rest))
    }
}

/// Adds the call to an error.
pub(crate) trait Refused<T> {
    fn on(self, call: Call) -> Result<T, Refusal>;
}

impl<T> Refused<T> for io::Result<T> {
    fn on(self, call: Call) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::new(call, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_round_trip() {
        for (number, (call, name)) in CALLS.into_iter().enumerate() {
            assert_eq!((call as usize, call.name()), (number, name));
            for at in [At::Frame, At::Namespace(3), At::Step(70_000), At::Death(31)] {
                let refusal = Refusal { call, errno: libc::EPERM, at };
                let bytes = [&refusal.encode()[..], b"text"].concat();
                assert_eq!(Refusal::decode(&bytes), Some((refusal, &b"text"[..])));
            }
        }
        assert_eq!(Refusal::decode(b"short"), None);
        assert_eq!(Refusal::decode(&[0xff; LENGTH]), None);
    }
}
