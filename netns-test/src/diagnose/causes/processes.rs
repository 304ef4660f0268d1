//! Shortage of processes or threads: finds the limit that is reached by the usage of each, and by
//! the refusals that the kernel has counted. Pure.

use crate::diagnose::facts::Facts;
use crate::diagnose::usage::{Kind, Limit};
use crate::error::Diagnosis;

const TOPIC: &str = "process-limit";

const UNSEEN: &str =
    "a limit on processes was reached, and is not any more, or cannot be seen here";

/// The room below a limit of a user or the machine that still counts as reached: other processes,
/// the test's among them, have ended since the refusal.
const SLACK: u64 = 8;

/// A user's limit below which it counts as reached if its usage is unknown: that of a test and its
/// runner alone comes near it.
const FEW: u64 = 64;

/// Explains EAGAIN, if memory is not short.
pub(crate) fn diagnose(facts: &Facts) -> Diagnosis {
    match reached(&facts.processes) {
        Some(limit) => {
            let (cause, fix) = cause_and_fix(limit.kind);
            let diagnosis = shown(Diagnosis::new(TOPIC, cause), limit);
            diagnosis.for_good(format!("{fix}, or run fewer tests at once (--test-threads)"))
        }
        None => {
            let limits = facts.processes.iter().filter(|limit| limit.limit.1 != u64::MAX);
            limits.fold(Diagnosis::new(TOPIC, UNSEEN), shown).for_good(
                "run fewer tests at once (--test-threads), or raise the lowest of these limits: \
                 `ulimit -u`; pids.max of the control group, in Docker --pids-limit",
            )
        }
    }
}

/// Returns whether no limit is shown to be reached, or not what is used of it.
pub(crate) fn is_unseen(diagnosis: &Diagnosis) -> bool {
    let (of_user, _) = cause_and_fix(Kind::User);
    diagnosis.cause == UNSEEN || diagnosis.cause == of_user && diagnosis.evidence.len() < 2
}

/// Adds a limit and its usage as evidence.
pub(crate) fn shown(diagnosis: Diagnosis, limit: &Limit) -> Diagnosis {
    let (file, value) = &limit.limit;
    let diagnosis = diagnosis.shown_by(file, value.to_string());
    match &limit.used {
        Some((file, used)) => diagnosis.shown_by(file, used.to_string()),
        None => diagnosis,
    }
}

/// Finds the limit that has refused a process, if there is evidence for one.
fn reached(limits: &[Limit]) -> Option<&Limit> {
    let is_group = |limit: &&Limit| matches!(limit.kind, Kind::Group { .. });
    let groups: Vec<&Limit> = limits.iter().filter(is_group).collect();
    let is_full = |limit: &&&Limit| room(limit) == Some(0);
    if let Some(group) = groups.iter().find(is_full).copied().or_else(|| counted(&groups)) {
        return Some(group);
    }
    let mut others = limits.iter().filter(|limit| !is_group(limit));
    others.find(|limit| {
        let slack = SLACK.max(limit.limit.1 / 64);
        let is_low = || limit.kind == Kind::User && limit.limit.1 < FEW;
        room(limit).map_or_else(is_low, |room| room < slack)
    })
}

/// Finds the control group whose limit has refused a process, by the kernel's counters. Since Linux
/// 6.11 a refusal is counted in the group with the limit and its ancestors, before that in the
/// group of the process.
fn counted<'a>(groups: &[&'a Limit]) -> Option<&'a Limit> {
    let first = groups.iter().position(|group| group.has_refused)?;
    let mut limited = groups[first..].iter().copied().filter(|group| group.limit.1 != u64::MAX);
    if groups[first].kind == (Kind::Group { counts_own: true }) {
        return limited.next();
    }
    limited.min_by_key(|group| room(group))
}

fn room(limit: &Limit) -> Option<u64> {
    let (_, used) = limit.used.as_ref()?;
    Some(limit.limit.1.saturating_sub(*used))
}

/// Returns the cause, and how to raise the limit.
fn cause_and_fix(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::User => ("this user may have no further processes", "raise `ulimit -u`"),
        Kind::Threads => ("the machine allows no further threads", "raise kernel.threads-max"),
        Kind::Ids => ("the machine has no free process ids", "raise kernel.pid_max"),
        _ => (
            "a control group allows no further processes",
            "raise its limit (pids.max; docker run --pids-limit, TasksMax= of a systemd unit)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: Kind, limit: u64, used: u64) -> Limit {
        let name = format!("{kind:?}");
        Limit { kind, limit: (name.clone(), limit), used: Some((name, used)), has_refused: false }
    }

    fn group(most: u64, used: u64, has_refused: bool, counts_own: bool) -> Limit {
        Limit { has_refused, ..limit(Kind::Group { counts_own }, most, used) }
    }

    #[test]
    fn the_limit_that_is_reached_is_named() {
        let machine = [limit(Kind::User, 96_365, 5), limit(Kind::Threads, 200_000, 300)];
        let with = |groups: &[Limit]| [groups, &machine].concat();
        let max = |groups: &[Limit]| reached(&with(groups)).map(|limit| limit.limit.1);
        assert_eq!(max(&[]), None);
        // The inner one is far from full.
        assert_eq!(max(&[group(100, 3, false, false), group(9, 9, false, false)]), Some(9));
        // The group is not full any longer, but the kernel has counted a refusal.
        for counts_own in [false, true] {
            let inner = |has_refused| group(100, 3, has_refused, counts_own);
            let outer = group(9, 6, counts_own, counts_own);
            assert_eq!(max(&[inner(!counts_own), outer]), Some(9));
        }
        assert_eq!(max(&[group(u64::MAX, 3, true, false), group(9, 6, false, false)]), Some(9));
        assert_eq!(max(&[group(50, 45, true, true), group(60, 60 - 9, true, true)]), Some(50));
        let of_user = [limit(Kind::User, 7, 5), limit(Kind::Threads, 200_000, 300)];
        assert_eq!(reached(&of_user).unwrap().kind, Kind::User);
        let of_all = [limit(Kind::User, 96_365, 5), limit(Kind::Threads, 3_000, 2_999)];
        assert_eq!(reached(&of_all).unwrap().kind, Kind::Threads);
    }

    #[test]
    fn a_low_limit_of_a_user_is_evidence_without_its_usage() {
        let of_user = |limit| Limit {
            kind: Kind::User,
            limit: ("limit".into(), limit),
            used: None,
            has_refused: false,
        };
        let text = |limit| diagnose(&Facts { processes: vec![of_user(limit)], ..Facts::default() });
        assert!(text(5).cause.contains("this user") && is_unseen(&text(5)));
        assert_eq!(text(500).cause, UNSEEN);
        let processes = vec![limit(Kind::User, 5, 4)];
        assert!(!is_unseen(&diagnose(&Facts { processes, ..Facts::default() })));
    }

    #[test]
    fn without_evidence_all_limits_are_listed() {
        let processes = vec![limit(Kind::User, 96_365, 5)];
        let diagnosis = diagnose(&Facts { processes, ..Facts::default() });
        assert!(is_unseen(&diagnosis));
        assert_eq!(diagnosis.evidence.len(), 2);
    }
}
