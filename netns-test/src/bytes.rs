//! Encoding of values as bytes, and decoding with every length checked. Pure.

use crate::error::{Diagnosis, Failure};
use crate::sys::process::Status;

/// Encoder.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.u32(texts.len() as u32);
        for text in texts {
            self.bytes(text.as_bytes());
        }
        self
    }

    pub(crate) fn status(&mut self, status: Status) -> &mut Self {
        match status {
            Status::Exited(code) => self.u32(0).u32(code as u32),
            Status::Signaled(signal) => self.u32(1).u32(signal as u32),
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) -> &mut Self {
        self.bytes(failure.step.as_bytes());
        self.bytes(failure.object.as_bytes());
        self.bytes(failure.reason.as_bytes());
        // There is no errno 0.
        self.u32(failure.errno.unwrap_or(0) as u32);
        self.texts(&failure.remedy);
        match &failure.diagnosis {
            None => self.u32(0),
            Some(diagnosis) => self.u32(1).diagnosis(diagnosis),
        }
    }

    fn diagnosis(&mut self, diagnosis: &Diagnosis) -> &mut Self {
        let Diagnosis { topic, cause, evidence, until_reboot, lasting } = diagnosis;
        self.bytes(topic.as_bytes()).bytes(cause.as_bytes());
        self.u32(evidence.len() as u32);
        for (file, value) in evidence {
            self.bytes(file.as_bytes()).bytes(value.as_bytes());
        }
        self.texts(until_reboot.as_slice()).texts(lasting.as_slice())
    }
}

/// Decoder. Each method returns `None` if the bytes do not fit.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub(crate) fn texts(&mut self) -> Option<Vec<String>> {
        (0..self.u32()?).map(|_| self.text()).collect()
    }

    pub(crate) fn status(&mut self) -> Option<Status> {
        let signaled = self.flag()?;
        let number = self.u32()? as i32;
        Some(if signaled { Status::Signaled(number) } else { Status::Exited(number) })
    }

    pub(crate) fn failure(&mut self) -> Option<Failure> {
        let (step, object, reason) = (self.text()?, self.text()?, self.text()?);
        let errno = Some(self.u32()? as i32).filter(|&code| code != 0);
        let remedy = self.texts()?;
        let diagnosis = if self.flag()? { Some(Box::new(self.diagnosis()?)) } else { None };
        let known = Failure::new(step, object, reason);
        Some(Failure { errno, remedy, diagnosis, ..known })
    }

    fn diagnosis(&mut self) -> Option<Diagnosis> {
        let (topic, cause) = (self.text()?, self.text()?);
        let count = self.u32()?;
        let evidence = (0..count).map(|_| Some((self.text()?, self.text()?)));
        let evidence = evidence.collect::<Option<_>>()?;
        let (until_reboot, lasting) = (self.texts()?.pop(), self.texts()?.pop());
        Some(Diagnosis { topic, cause, evidence, until_reboot, lasting })
    }

    /// Returns `value` if all bytes are read.
    pub(crate) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
