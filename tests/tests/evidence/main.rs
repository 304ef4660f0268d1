//! What is collected of a test that fails: processes, threads, networks. Whatever a test does to
//! that, its verdict stays.
//!
//! A test here starts this program again for one ignored test, which fails, and reads `lab.json` of
//! its bundle.

mod hostile;
mod networks;
mod processes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use netns_test_tests::{again, eventually, scratch, text};
use serde_json::Value;

/// The bundle's file of a test that has failed, and what was printed.
struct Evidence {
    all: Value,
    printed: String,
}

impl Evidence {
    /// Runs an ignored test, which fails; again if the machine was too busy to collect all.
    fn of(name: &str) -> Self {
        let start = Instant::now();
        loop {
            let evidence = Self::once(name);
            let was_over = evidence.gaps().contains("the time was over");
            if !was_over || start.elapsed() > netns_test_tests::LIMIT {
                return evidence;
            }
        }
    }

    /// Runs an ignored test, which fails.
    fn once(name: &str) -> Self {
        let directory = scratch(&name.replace("::", "-"));
        let mut run = again(&[], &["--exact", name]);
        let output = run.env("NETNS_TEST_OUT", &directory).output().unwrap();
        let printed = text(&output);
        assert!(printed.contains("test result: FAILED. 0 passed; 1 failed;"), "{printed}");
        let file = find(&directory).unwrap_or_else(|| panic!("no lab.json: {printed}"));
        let all = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        fs::remove_dir_all(directory).unwrap();
        Self { all, printed }
    }

    /// The one look, at this moment.
    fn look(&self, reason: &str) -> &Value {
        let looks = self.all["looks"].as_array().unwrap();
        let reasons: Vec<&Value> = looks.iter().map(|look| &look["reason"]).collect();
        assert_eq!(reasons, [reason], "{:#}\n{}", self.all["gaps"], self.printed);
        &looks[0]
    }

    /// Returns the gaps of the looks and of the evidence.
    fn gaps(&self) -> String {
        let looks = self.all["looks"].as_array().unwrap();
        let all = looks.iter().map(|look| &look["gaps"]).chain([&self.all["gaps"]]);
        let all: Vec<&str> = all
            .flat_map(|gaps| gaps.as_array().unwrap())
            .map(|gap| gap.as_str().unwrap())
            .collect();
        all.join("\n")
    }
}

fn find(directory: &Path) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(directory).ok()?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    entries.iter().find_map(|entry| match entry.file_name() == "lab.json" {
        true => Some(entry.path()),
        false => find(&entry.path()),
    })
}

/// The one of a list whose field has this value.
fn one<'a>(list: &'a Value, field: &str, value: impl Into<Value>) -> &'a Value {
    let value = value.into();
    let mut all = list.as_array().unwrap().iter().filter(|one| one[field] == value);
    let found = all.next().unwrap_or_else(|| panic!("no {field} {value} in {list:#}"));
    assert!(all.next().is_none(), "several {field} {value} in {list:#}");
    found
}

fn body(look: &Value) -> &Value {
    one(&look["processes"], "is_body", true)
}

/// Waits until a thread of the calling process waits in a system call with one of these numbers.
fn waits_in(name: &str, calls: &[i64]) {
    let number = |task: fs::DirEntry| {
        let own = fs::read_to_string(task.path().join("comm")).ok()?;
        let call = fs::read_to_string(task.path().join("syscall")).ok()?;
        let number = call.split(' ').next()?.parse::<i64>().ok()?;
        (own.trim() == name).then_some(number)
    };
    eventually(netns_test_tests::LIMIT, "the system call of a thread", || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let found: Vec<i64> = tasks.filter_map(number).collect();
        if found.iter().any(|call| calls.contains(call)) { Ok(()) } else { Err(found) }
    });
}

/// Starts a thread that does `work` without end, and waits until it is in a call.
fn thread(name: &'static str, calls: &[i64], work: impl FnOnce() + Send + 'static) {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    drop(started.unwrap());
    waits_in(name, calls);
}
