//! Memory shortage: a limit of the process, a large request, or a full machine. Pure.

use crate::diagnose::causes::processes::shown;
use crate::diagnose::facts::Facts;
use crate::diagnose::usage::{Kind, Limit};
use crate::error::Diagnosis;

const TOPIC: &str = "memory";

/// The bytes assumed for a call whose request is unknown.
const LITTLE: u64 = 2 << 20;

/// Explains ENOMEM, and EAGAIN of a thread without memory for its stack.
pub(crate) fn diagnose(facts: &Facts) -> Diagnosis {
    let needed = facts.lacks_memory.unwrap_or(LITTLE);
    let asked = facts.asked_stack.filter(|asked| facts.lacks_memory == Some(*asked));
    let reached = facts.memory.iter().find(|limit| is_reached(limit, needed));
    let (cause, fix) = match reached {
        Some(limit) => cause_and_fix(limit.kind),
        None if asked.is_some() => (
            "RUST_MIN_STACK asks for more memory for a thread than there is",
            "set a lower RUST_MIN_STACK",
        ),
        None => (
            "memory is exhausted, on the machine or in this control group",
            "run fewer tests at once (--test-threads), or give the machine or container more memory",
        ),
    };
    let diagnosis = reached.into_iter().fold(Diagnosis::new(TOPIC, cause), shown);
    let Some(asked) = asked else { return diagnosis.for_good(fix) };
    let fix = if reached.is_some() {
        format!("{fix}, or set a lower RUST_MIN_STACK")
    } else {
        fix.into()
    };
    diagnosis.shown_by("RUST_MIN_STACK", asked.to_string()).for_good(fix)
}

/// Returns whether the process itself is the cause: its limit, or the size of its request.
pub(crate) fn lacks_own_memory(facts: &Facts) -> bool {
    let Some(needed) = facts.lacks_memory else { return false };
    let own = facts.memory.iter().filter(|limit| limit.kind != Kind::Commitment);
    facts.asked_stack == Some(needed) || own.into_iter().any(|limit| is_reached(limit, needed))
}

fn is_reached(limit: &Limit, needed: u64) -> bool {
    let Some((_, used)) = limit.used else { return false };
    // A stack is two mappings, with its guard.
    let needed = if limit.kind == Kind::Mappings { 2 } else { needed };
    used.saturating_add(needed) > limit.limit.1
}

fn cause_and_fix(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::AddressSpace => {
            ("this process may have no further memory (RLIMIT_AS)", "raise `ulimit -v`")
        }
        Kind::Data => {
            ("this process may have no further memory (RLIMIT_DATA)", "raise `ulimit -d`")
        }
        Kind::Mappings => ("this process has too many mappings", "raise vm.max_map_count"),
        _ => (
            "the kernel promises no further memory (vm.overcommit_memory is 2)",
            "sudo sysctl -w vm.overcommit_memory=0",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_on_memory_that_is_reached_is_named() {
        let limit = |kind, limit, used| Limit {
            kind,
            limit: ("limit".into(), limit),
            used: Some(("used".into(), used)),
            has_refused: false,
        };
        let facts = |memory, lacks_memory, asked_stack| Facts {
            memory,
            lacks_memory,
            asked_stack,
            ..Facts::default()
        };
        let data = vec![
            limit(Kind::AddressSpace, 1 << 40, 1 << 30),
            limit(Kind::Data, 20 << 20, 19 << 20),
        ];
        let of_data = facts(data, Some(2 << 20), None);
        assert!(diagnose(&of_data).cause.contains("RLIMIT_DATA") && lacks_own_memory(&of_data));
        let huge = facts(Vec::new(), Some(1 << 60), Some(1 << 60));
        assert!(diagnose(&huge).cause.starts_with("RUST_MIN_STACK") && lacks_own_memory(&huge));
        let machine = facts(Vec::new(), Some(2 << 20), None);
        assert!(diagnose(&machine).cause.contains("on the machine") && !lacks_own_memory(&machine));
        let enough = facts(vec![limit(Kind::Data, 20 << 20, 19 << 20)], None, None);
        assert!(!lacks_own_memory(&enough));
    }
}
