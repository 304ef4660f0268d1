//! The attributes of the runner that a body takes, as bytes. Pure.

use crate::bytes::{Reader, Writer};
use crate::sys::process::limits::Limits;
use crate::sys::process::signals::Mask;

/// Attributes of the runner at a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RunnerEnv {
    /// Environment as `NAME=value`, each without a NUL byte; `None` if it is unchanged since the
    /// start of the program.
    pub(crate) environment: Option<Vec<Vec<u8>>>,
    pub(crate) limits: Limits,
    pub(crate) mask: Mask,
    pub(crate) umask: u32,
}

impl RunnerEnv {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.mask.0).u32(self.umask);
        for (soft, hard) in self.limits.0 {
            out.u64(soft).u64(hard);
        }
        match &self.environment {
            None => out.u32(0),
            Some(variables) => {
                out.u32(1).u32(variables.len() as u32);
                variables.iter().fold(&mut out, |out, variable| out.bytes(variable))
            }
        };
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let (mask, umask) = (Mask(input.u64()?), input.u32()?);
        let mut limits = Limits([(0, 0); 16]);
        for limit in &mut limits.0 {
            *limit = (input.u64()?, input.u64()?);
        }
        let environment = if input.flag()? {
            let count = input.u32()?;
            let variables = (0..count).map(|_| input.bytes().map(<[u8]>::to_vec));
            Some(variables.collect::<Option<_>>()?)
        } else {
            None
        };
        input.end(Self { environment, limits, mask, umask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_round_trip() {
        for environment in [None, Some(vec![b"A=1".to_vec(), b"B=\xff".to_vec()])] {
            let limits = Limits([(1, 2); 16]);
            let env = RunnerEnv { environment, limits, mask: Mask(5), umask: 0o22 };
            assert_eq!(RunnerEnv::decode(&env.encode()), Some(env));
        }
    }
}
