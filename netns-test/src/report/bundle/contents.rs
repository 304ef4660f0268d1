//! The files of a bundle but report and result: the lab, the events, the output of programs, the
//! files of the test itself. Pure.

use std::collections::{BTreeMap, HashSet};

use crate::evidence::code::{Fact as _, field};
use crate::evidence::facts::Facts;
use crate::evidence::facts::artifact::Artifact;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::stacks::Stacks;
use crate::evidence::json::Json;
use crate::report::bundle::names;
use crate::report::escape::escape;

/// Most bytes of a bundle without report and result, and of single files.
const MOST: usize = 15 << 20;
const MOST_LAB: usize = 8 << 20;
const MOST_EVENTS: usize = 3 << 20;

/// Bytes that are left for the output of programs.
const LEAST_LOGS: usize = 1 << 20;

/// Most files with the output of programs.
const MOST_LOGS: usize = 64;

/// File of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Path in the bundle.
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    /// Number of bytes that did not fit.
    pub(crate) left_out: usize,
}

/// Returns the files.
pub(crate) fn files(facts: &Facts) -> Vec<File> {
    let events = events(facts);
    let mut files = vec![lab(facts), last_lines("events.jsonl", &events, MOST_EVENTS)];
    files.extend(facts.stacks.iter().map(stacks));
    let logs = logs(&facts.events);
    let used = |files: &[File]| files.iter().map(|file| file.content.len()).sum::<usize>();
    files.extend(artifacts(&facts.artifacts, MOST - used(&files) - LEAST_LOGS));
    let share = (MOST - used(&files)) / logs.len().max(1);
    files.extend(logs.iter().map(|(name, text)| last_lines(name, text, share)));
    let is_own = |file: &File| file.name.starts_with("artifacts/");
    files.retain(|file| file.left_out > 0 || !file.content.is_empty() || is_own(file));
    files
}

/// Returns what a debugger has printed, without what a terminal acts on.
fn stacks(stacks: &Stacks) -> File {
    let lines = stacks.output.lines().map(|line| escape(line, true) + "\n");
    let problem = Some(&stacks.problem).filter(|problem| !problem.is_empty());
    let problem = problem.map(|problem| format!("{}: {problem}\n", stacks.program));
    let text: String = lines.chain(problem).collect();
    File { name: "stacks.txt".into(), content: text.into_bytes(), left_out: 0 }
}

/// Returns the files of the test itself, of which `room` bytes are kept.
fn artifacts(found: &[Artifact], mut room: usize) -> Vec<File> {
    // A name is that of a file or that of a directory.
    let (mut taken, mut above) = (HashSet::new(), HashSet::new());
    let mut files = Vec::new();
    for artifact in found {
        let safe: Vec<String> = artifact.path.split('/').map(names::safe).collect();
        let names = std::iter::once(safe.join("/"));
        let names = names.chain((0..).map(|number: u32| format!("same-name-{number}")));
        let mut names = names.map(|name| format!("artifacts/{name}"));
        let above_of = |name: &str| -> Vec<String> {
            name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect()
        };
        let is_free = |name: &String| {
            let is_other = taken.contains(name) || above.contains(name);
            !is_other && !above_of(name).iter().any(|one| taken.contains(one))
        };
        let Some(name) = names.find(is_free) else { continue };
        above.extend(above_of(&name));
        taken.insert(name.clone());
        let content = &artifact.content.0;
        let content = content[..content.len().min(room)].to_vec();
        room -= content.len();
        let size = usize::try_from(artifact.size).unwrap_or(usize::MAX);
        files.push(File { name, left_out: size.saturating_sub(content.len()), content });
    }
    files
}

/// Returns the labs and the state of their networks. If that is too much, with one look only.
fn lab(facts: &Facts) -> File {
    let all: Vec<_> = facts.looks.iter().collect();
    let one: Vec<_> = facts.look().into_iter().collect();
    let mut left_out = 0;
    for looks in [all, one, Vec::new()] {
        let mut json = Json::default();
        json.object(|json| {
            json.key("schema");
            json.number(1);
            field(json, "began_ns", &facts.began);
            field(json, "ended_ns", &facts.ended);
            field(json, "labs", &facts.labs);
            json.key("looks");
            json.array(|json| {
                for look in &looks {
                    json.item();
                    look.json(json);
                }
            });
            field(json, "gaps", &facts.gaps);
        });
        let content = json.finish().into_bytes();
        if content.len() <= MOST_LAB {
            return File { name: "lab.json".into(), content, left_out };
        }
        left_out = left_out.max(content.len());
    }
    File { name: "lab.json".into(), content: Vec::new(), left_out }
}

fn events(facts: &Facts) -> String {
    let began = facts.began.unwrap_or_default();
    facts.events.iter().map(|event| line(event, began.as_nanos()) + "\n").collect()
}

/// Returns an event as an object, with its time since the test began.
fn line(event: &Event, began: u128) -> String {
    let mut json = Json::default();
    json.object(|json| {
        json.key("t_ns");
        json.number(event.at.as_nanos() as i128 - began as i128);
        field(json, "node", &event.node);
        json.key("kind");
        json.text(event.kind.word());
        json.key("thread");
        json.number(event.thread.into());
        field(json, "text", &event.text);
        json.key("details");
        json.object(|json| {
            for detail in &event.details {
                json.key(&detail.name);
                json.text(&detail.value);
            }
        });
    });
    json.finish()
}

/// Returns the output of each program, by the names of the files.
fn logs(events: &[Event]) -> BTreeMap<String, String> {
    let logs = || events.iter().filter(|event| event.kind == EventKind::Log);
    let mut pids: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for event in logs() {
        let pids = pids.entry(log_name(event)).or_default();
        let pid = event.detail("pid").unwrap_or_default();
        if !pids.contains(&pid) && pids.len() < MOST_LOGS {
            pids.push(pid);
        }
    }
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for event in logs() {
        let mut name = log_name(event);
        if pids.get(&name).is_some_and(|pids| pids.len() > 1) {
            name += &format!(".{}", names::safe(event.detail("pid").unwrap_or_default()));
        }
        let stream = event.detail("stream").unwrap_or("output");
        let name = format!("logs/{name}.{}.log", names::safe(stream));
        if texts.len() < MOST_LOGS || texts.contains_key(&name) {
            let text = texts.entry(name).or_default();
            text.push_str(&event.text);
            text.push('\n');
        }
    }
    texts
}

fn log_name(event: &Event) -> String {
    let program = event.detail("program").unwrap_or("program");
    let program = program.rsplit('/').next().unwrap_or_default();
    let node = if event.node.is_empty() { "test" } else { &event.node };
    format!("{}.{}", names::safe(node), names::safe(program))
}

/// Returns the end of a text, at most `most` bytes of whole lines.
fn last_lines(name: &str, text: &str, most: usize) -> File {
    let bytes = text.as_bytes();
    let start = match bytes.len().checked_sub(most) {
        None | Some(0) => 0,
        Some(start) => {
            let rest = bytes[start - 1..].iter().position(|byte| *byte == b'\n');
            rest.map_or(bytes.len(), |line| start + line)
        }
    };
    File { name: name.into(), content: bytes[start..].to_vec(), left_out: start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::code::Content;
    use std::time::Duration;

    fn log(pid: u32, text: &str) -> Event {
        let event = Event {
            kind: EventKind::Log,
            node: "server".into(),
            text: text.into(),
            at: Duration::from_secs(3),
            ..Event::default()
        };
        event.with("pid", pid).with("program", "/bin/echo server").with("stream", "stderr")
    }

    fn facts(events: Vec<Event>) -> Facts {
        Facts { began: Some(Duration::from_secs(2)), events, ..Facts::default() }
    }

    #[test]
    fn each_program_has_its_file() {
        let names = |events| -> Vec<String> {
            files(&facts(events)).into_iter().map(|file| file.name).collect()
        };
        let one = names(vec![log(1, "a"), log(1, "b")]);
        assert_eq!(one.len(), 3);
        assert!(one[2].starts_with("logs/server.echo_server-"), "{one:?}");
        assert!(one[2].ends_with(".stderr.log"), "{one:?}");
        let two = names(vec![log(1, "a"), log(2, "b")]);
        assert!(two[2].ends_with(".1.stderr.log") && two[3].ends_with(".2.stderr.log"), "{two:?}");
    }

    #[test]
    fn files_of_the_test_have_names_of_their_own() {
        let artifact = |path: &str, size: u64| Artifact {
            path: path.into(),
            content: Content(b"abc".to_vec()),
            size,
            ..Artifact::default()
        };
        let found = ["a::b", "a--b", "a--b/c", "../x", "d/\u{1b}"].map(|path| artifact(path, 5));
        let files = artifacts(&found, 8);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names[..2], ["artifacts/a--b", "artifacts/same-name-0"]);
        assert_eq!(names[2], "artifacts/same-name-1");
        assert!(names[3..].iter().all(|name| !name.contains("..") && name.is_ascii()), "{names:?}");
        let sizes: Vec<_> = files.iter().map(|file| (file.content.len(), file.left_out)).collect();
        assert_eq!(sizes, [(3, 2), (3, 2), (2, 3), (0, 5), (0, 5)]);
    }

    #[test]
    fn an_event_is_one_line() {
        let files = files(&facts(vec![log(1, "a\n\"b\"")]));
        let text = String::from_utf8(files[1].content.clone()).unwrap();
        let line = r#"{"t_ns":1000000000,"node":"server","kind":"log","thread":0,"text":"a\n\"b\"","details":{"pid":"1","program":"/bin/echo server","stream":"stderr"}}"#;
        assert_eq!(text, format!("{line}\n"));
    }

    #[test]
    fn a_bundle_has_a_limit_and_loses_what_is_oldest() {
        let text = "x".repeat(1_000);
        let files = files(&facts((0..20_000).map(|_| log(1, &text)).collect()));
        let sum: usize = files.iter().map(|file| file.content.len()).sum();
        assert!(sum <= MOST, "{sum}");
        assert!(files[1].left_out > 0 && files[1].content.starts_with(b"{"));
        assert!(files[2].left_out > 0 && files[2].content.ends_with(b"x\n"));
    }
}
