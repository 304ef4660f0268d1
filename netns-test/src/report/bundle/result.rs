//! The file `result.json`: the end of a test for programs. Pure. docs/FAILURES.md has the schema.

use crate::env::TestRun;
use crate::evidence::code::field;
use crate::evidence::ending::{EndKind, Ending};
use crate::evidence::facts::Facts;
use crate::evidence::json::Json;
use crate::explain::Cause;
use crate::report::bundle::contents::File;
use crate::report::text::panic_of;

/// Most bytes of a text.
const MOST: usize = 64 << 10;

/// Returns the content of the file. `files` are the other files of the bundle.
pub(crate) fn json(
    ending: &Ending,
    facts: &Facts,
    causes: &[Cause],
    (run, files): (&TestRun, &[File]),
) -> String {
    let panic = panic_of(ending, facts).filter(|_| ending.kind == EndKind::Panicked);
    let texts = [
        ("outcome", if ending.kind == EndKind::Passed { "passed" } else { "failed" }),
        ("kind", ending.kind.word()),
        ("message", beginning(&ending.message)),
        ("package", &ending.package),
        ("binary", &ending.binary),
        ("test", &ending.test),
        ("run_id", run.nextest.as_deref().unwrap_or_default()),
        ("node", panic.map_or("", |event| &event.node)),
        ("place", panic.and_then(|event| event.detail("place")).unwrap_or_default()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let mut json = Json::default();
    json.object(|json| {
        json.key("schema");
        json.number(1);
        for (key, text) in texts {
            json.key(key);
            json.text(text);
        }
        field(json, "attempt", &ending.attempt);
        field(json, "attempts", &ending.attempts);
        field(json, "repetition", &run.repetition);
        field(json, "after_ns", &ending.after);
        json.key("causes");
        json.array(|json| causes.iter().for_each(|one| cause(one, json)));
        field(json, "lost_events", &facts.lost);
        json.key("files");
        json.array(|json| files.iter().for_each(|one| file(one, json)));
    });
    json.finish() + "\n"
}

fn cause(cause: &Cause, json: &mut Json) {
    json.item();
    json.object(|json| {
        json.key("certainty");
        json.text(cause.certainty.word());
        field(json, "text", &cause.text);
        field(json, "proof", &cause.proof);
        field(json, "remedy", &cause.remedy);
    });
}

fn file(file: &File, json: &mut Json) {
    json.item();
    json.object(|json| {
        field(json, "name", &file.name);
        json.key("bytes");
        json.number(file.content.len() as i128);
        json.key("left_out");
        json.number(file.left_out as i128);
    });
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
