//! The isolation of the calling process, for test bodies that depend on it.

use std::fmt;
#[cfg(all(target_os = "linux", not(miri)))]
use std::sync::Mutex;
use std::sync::OnceLock;

#[cfg(all(target_os = "linux", not(miri)))]
use crate::sys::lock::lock;

/// Isolation of the calling process. Returned by [`isolation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    mode: IsolationMode,
    limitations: Vec<String>,
}

/// Namespaces and capabilities of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationMode {
    /// The process is not a test body: it is the test runner or any other program.
    Outside,
    /// The body has user, network, mount, PID, UTS and IPC namespaces of its own, and capabilities
    /// over these only.
    Full,
    /// The kernel refused a user namespace, but the caller has `CAP_SYS_ADMIN` and
    /// `CAP_NET_ADMIN`, as root in a chroot. The body has network, mount and PID namespaces, and
    /// UTS and IPC namespaces if they are allowed. It keeps the caller's capabilities, also over
    /// the machine: changes that it makes outside of its namespaces are not undone.
    Privileged,
}

/// Returns the isolation of the calling process.
///
/// A container may withhold a resource that a test needs, such as a `/proc` of its own; such a
/// test can check it here. To fail or skip tests that cannot be isolated at all needs no call: see
/// "Where tests cannot be isolated" in the crate's documentation.
///
/// ```
/// use netns_test::{IsolationMode, isolation};
///
/// assert_eq!(isolation().mode(), IsolationMode::Outside); // An example is not a test body.
/// ```
#[must_use]
pub fn isolation() -> Isolation {
    OWN.get()
        .cloned()
        .unwrap_or(Isolation { mode: IsolationMode::Outside, limitations: Vec::new() })
}

impl Isolation {
    /// Returns the mode: namespaces and capabilities of the process.
    #[must_use]
    pub fn mode(&self) -> IsolationMode {
        self.mode
    }

    /// Returns a sentence for each resource that could not be isolated, with the kernel's reason.
    /// Empty if the isolation is complete, and outside of a test body. The text is for users and
    /// may change.
    #[must_use]
    pub fn limitations(&self) -> &[String] {
        &self.limitations
    }
}

/// Writes the mode in a few words, and a line for each limitation.
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

/// Sets the isolation of this process and of those forked from it.
#[cfg_attr(
    not(all(target_os = "linux", not(miri))),
    expect(dead_code, reason = "there are no bodies there")
)]
pub(crate) fn set(is_privileged: bool, limitations: Vec<String>) {
    let mode = if is_privileged { IsolationMode::Privileged } else { IsolationMode::Full };
    drop(OWN.set(Isolation { mode, limitations }));
}

/// Resource that the machine has refused to the lab of this body.
#[cfg(all(target_os = "linux", not(miri)))]
#[derive(Clone, Debug)]
pub(crate) struct Lack {
    /// Message of the panic that reports the refusal.
    message: String,
    pub(crate) step: String,
    pub(crate) node: String,
    /// Errno of the refusal, if it was the kernel's.
    pub(crate) errno: Option<i32>,
    pub(crate) reason: String,
}

#[cfg(all(target_os = "linux", not(miri)))]
static LACKS: Mutex<Vec<Lack>> = Mutex::new(Vec::new());

/// Notes that a panic with `message` is not a failure of the test: the machine has refused a
/// resource to the lab. Does nothing in a process that is not a body.
#[cfg(all(feature = "lab", target_os = "linux", not(miri)))]
pub(crate) fn note_lack(message: &str, step: &str, node: &str, error: &std::io::Error) {
    if OWN.get().is_none() {
        return;
    }
    let lack = Lack {
        message: message.to_owned(),
        step: step.to_owned(),
        node: node.to_owned(),
        errno: error.raw_os_error(),
        reason: error.to_string(),
    };
    lock(&LACKS).push(lack);
}

/// Returns the refusal that caused a panic with `message`, if one did.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn lack_in(message: &str) -> Option<Lack> {
    let lacks = lock(&LACKS);
    lacks.iter().find(|lack| message.contains(&lack.message)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_isolation_lists_its_limitations() {
        let limitations = vec!["/proc shows the host's processes".to_owned()];
        let isolation = Isolation { mode: IsolationMode::Full, limitations };
        assert_eq!(
            isolation.to_string(),
            "isolated, with a user namespace\nnot isolated: /proc shows the host's processes"
        );
    }
}
