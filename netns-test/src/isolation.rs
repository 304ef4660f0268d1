//! How the calling process is isolated, for bodies that depend on it.

use std::fmt;
use std::sync::OnceLock;
#[cfg(all(target_os = "linux", not(miri)))]
use std::sync::{Mutex, PoisonError};

/// How the process that asks is isolated: see [`isolation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    mode: IsolationMode,
    limitations: Vec<String>,
}

/// Which rights a test has, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationMode {
    /// The process is no test body: it is the test runner, or any other program.
    Outside,
    /// User, network, mount, PID, UTS and IPC namespaces of its own, and rights over these only.
    Full,
    /// A user namespace was refused, but the caller holds `CAP_SYS_ADMIN` and
    /// `CAP_NET_ADMIN`, as root in a chroot does: the other namespaces, as far as they are
    /// allowed (network, mount and PID always), and the caller's own rights, also over the
    /// machine. What a body does with them outside of its namespaces is not undone.
    Privileged,
}

/// How the calling process is isolated.
///
/// A test that needs what a container may withhold, such as a `/proc` of its own, can look here
/// before it relies on it. To have tests fail or be skipped where they cannot be isolated at all
/// needs no call: see "Where tests cannot be isolated" in the crate's documentation.
///
/// ```
/// use netns_test::{IsolationMode, isolation};
///
/// assert_eq!(isolation().mode(), IsolationMode::Outside); // An example is no test body.
/// ```
#[must_use]
pub fn isolation() -> Isolation {
    OWN.get()
        .cloned()
        .unwrap_or(Isolation { mode: IsolationMode::Outside, limitations: Vec::new() })
}

impl Isolation {
    /// Which namespaces and rights the process has.
    #[must_use]
    pub fn mode(&self) -> IsolationMode {
        self.mode
    }

    /// What could not be isolated all the same, as sentences with the kernel's reason; empty
    /// where nothing is lacking, and outside of a test body. They are for people: their words
    /// may change.
    #[must_use]
    pub fn limitations(&self) -> &[String] {
        &self.limitations
    }
}

/// The mode in a few words, and a line for each limitation.
impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            IsolationMode::Outside => "not isolated: no test body",
            IsolationMode::Full => "isolated, with a user namespace",
            IsolationMode::Privileged => {
                "isolated without a user namespace, with the caller's rights"
            }
        })?;
        for limitation in &self.limitations {
            write!(f, "\nnot isolated: {limitation}")?;
        }
        Ok(())
    }
}

static OWN: OnceLock<Isolation> = OnceLock::new();

/// Says what is so from now on in this process and those forked from it.
#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    expect(dead_code, reason = "there are no bodies there")
)]
pub(crate) fn set(is_privileged: bool, limitations: Vec<String>) {
    let mode = if is_privileged { IsolationMode::Privileged } else { IsolationMode::Full };
    drop(OWN.set(Isolation { mode, limitations }));
}

/// Something that the machine has refused to the lab of this body.
#[cfg(all(target_os = "linux", not(miri)))]
#[derive(Clone, Debug)]
pub(crate) struct Lack {
    /// Text of the panic that says so.
    message: String,
    pub(crate) step: String,
    pub(crate) host: String,
    /// The kernel's number, if there is one.
    pub(crate) errno: Option<i32>,
    pub(crate) reason: String,
}

#[cfg(all(target_os = "linux", not(miri)))]
static LACKS: Mutex<Vec<Lack>> = Mutex::new(Vec::new());

/// Notes that a panic with `message` is no act of the test: the machine has refused what the lab needed.
/// In a process that is no body nothing asks for it.
#[cfg(all(feature = "lab", target_os = "linux", not(miri)))]
pub(crate) fn note_lack(message: &str, step: &str, host: &str, error: &std::io::Error) {
    if OWN.get().is_none() {
        return;
    }
    let lack = Lack {
        message: message.to_owned(),
        step: step.to_owned(),
        host: host.to_owned(),
        errno: error.raw_os_error(),
        reason: error.to_string(),
    };
    LACKS.lock().unwrap_or_else(PoisonError::into_inner).push(lack);
}

/// The refusal that the message of a panic repeats, if it is one.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn lack_in(message: &str) -> Option<Lack> {
    let lacks = LACKS.lock().unwrap_or_else(PoisonError::into_inner);
    lacks.iter().find(|lack| message.contains(&lack.message)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolation_is_told_with_what_it_lacks() {
        let limitations = vec!["/proc shows the host's processes".to_owned()];
        let isolation = Isolation { mode: IsolationMode::Full, limitations };
        assert_eq!(
            isolation.to_string(),
            "isolated, with a user namespace\nnot isolated: /proc shows the host's processes"
        );
    }
}
