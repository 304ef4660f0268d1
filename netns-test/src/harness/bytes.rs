//! Values as bytes, and back with every length checked. Pure.

use crate::error::Failure;
use crate::sys::process::Status;

/// Appends values.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    pub(super) fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.u32(texts.len() as u32);
        for text in texts {
            self.bytes(text.as_bytes());
        }
        self
    }

    pub(super) fn status(&mut self, status: Status) -> &mut Self {
        match status {
            Status::Exited(code) => self.u32(0).u32(code as u32),
            Status::Signaled(signal) => self.u32(1).u32(signal as u32),
        }
    }

    pub(super) fn failure(&mut self, failure: &Failure) -> &mut Self {
        self.bytes(failure.step.as_bytes());
        self.bytes(failure.object.as_bytes());
        self.bytes(failure.reason.as_bytes());
        self.texts(&failure.remedy)
    }
}

/// Takes values off; nothing is left where one does not fit.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub(super) fn texts(&mut self) -> Option<Vec<String>> {
        (0..self.u32()?).map(|_| self.text()).collect()
    }

    pub(super) fn status(&mut self) -> Option<Status> {
        let signaled = self.flag()?;
        let number = self.u32()? as i32;
        Some(if signaled { Status::Signaled(number) } else { Status::Exited(number) })
    }

    pub(super) fn failure(&mut self) -> Option<Failure> {
        let (step, object, reason) = (self.text()?, self.text()?, self.text()?);
        Some(Failure { step, object, reason, errno: None, remedy: self.texts()? })
    }

    /// `value`, if nothing is left to read.
    pub(super) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
