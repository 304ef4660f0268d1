//! The transcript of setting up a sandbox: its steps and limitations.

use std::borrow::Cow;
use std::io;

use crate::sys::errno;

/// The steps so far, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript(pub(crate) Vec<Entry>);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The step: `mount proc on /proc`.
    pub(crate) step: Cow<'static, str>,
    /// The consequence for isolation if the step failed, with the kernel's reason.
    pub(crate) limitation: Option<String>,
}

impl Transcript {
    /// Adds a step that was done.
    pub(crate) fn done(&mut self, step: impl Into<Cow<'static, str>>) {
        self.0.push(Entry { step: step.into(), limitation: None });
    }

    /// Adds an optional step; `without` is the consequence if it failed.
    pub(crate) fn note<T>(
        &mut self,
        step: impl Into<Cow<'static, str>>,
        without: &str,
        result: io::Result<T>,
    ) -> Option<T> {
        let step = step.into();
        match result {
            Ok(value) => {
                self.done(step);
                Some(value)
            }
            Err(error) => {
                let reason = errno::describe(&error);
                let limitation = Some(format!("{without}: {step}: {reason}"));
                self.0.push(Entry { step, limitation });
                None
            }
        }
    }

    /// Adds a limitation that is known without trying.
    pub(crate) fn lacks(&mut self, step: impl Into<Cow<'static, str>>, limitation: String) {
        self.0.push(Entry { step: step.into(), limitation: Some(limitation) });
    }

    /// Returns the limitations.
    pub(crate) fn limitations(&self) -> Vec<String> {
        self.0.iter().filter_map(|entry| entry.limitation.clone()).collect()
    }
}
