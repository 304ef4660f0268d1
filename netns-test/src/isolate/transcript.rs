//! What has been done to make a sandbox, step by step, and what could not be had.

use std::borrow::Cow;
use std::io;

use crate::sys::errno;

/// The steps so far, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript(pub(crate) Vec<Entry>);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What was done: `mount proc on /proc`.
    pub(crate) step: Cow<'static, str>,
    /// What is not isolated since it could not be done, with the kernel's reason.
    pub(crate) limitation: Option<String>,
}

impl Transcript {
    /// A step that was done.
    pub(crate) fn done(&mut self, step: impl Into<Cow<'static, str>>) {
        self.0.push(Entry { step: step.into(), limitation: None });
    }

    /// A step without which a sandbox does; `without` says what it then lacks.
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

    /// Something that the sandbox does without from the start.
    pub(crate) fn lacks(&mut self, step: impl Into<Cow<'static, str>>, limitation: String) {
        self.0.push(Entry { step: step.into(), limitation: Some(limitation) });
    }

    /// What could not be isolated.
    pub(crate) fn limitations(&self) -> Vec<String> {
        self.0.iter().filter_map(|entry| entry.limitation.clone()).collect()
    }
}
