//! The stacks of threads from the output of a debugger, shortened to the user's code. Pure.

mod function;
mod place;

use std::collections::BTreeMap;

use crate::evidence::facts::Facts;
use crate::evidence::facts::stacks::Stacks;

/// Most threads, and most frames of one.
const MOST_THREADS: usize = 1_000;
const MOST_FRAMES: usize = 256;

/// Most characters of a line of output that are looked at, and bytes of an answer that is shown.
const MOST_OF_LINE: usize = 4_000;
const MOST_OF_ANSWER: usize = 200;

/// A function that has been called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) function: String,
    /// File and line, as `tests/lan.rs:31`; empty if the debugger does not know them.
    pub(crate) place: String,
}

/// Returns the frames of the user's code of each thread, by thread id, the innermost first.
pub(crate) fn of_threads(stacks: &Stacks) -> BTreeMap<u32, Vec<Frame>> {
    let mut found = frames(&stacks.output);
    for frames in found.values_mut() {
        frames.retain(is_of_user);
        for frame in &mut *frames {
            frame.function = function::shown(&frame.function);
            frame.place = place::shown(&frame.place);
        }
        // A function and what is inlined into it have the same name in some debug information.
        frames.dedup();
    }
    found
}

/// Returns a sentence about stacks that are missing, or not all there.
pub(crate) fn problem(facts: &Facts) -> Option<String> {
    let stacks = facts.stacks.as_ref()?;
    let name = stacks.program.rsplit('/').next().unwrap_or_default();
    let reason = match &*stacks.problem {
        "" if !frames(&stacks.output).is_empty() => return None,
        "" => answer(&stacks.output),
        problem => problem.to_owned(),
    };
    Some(format!("the stacks of the threads, by {name}: {reason}"))
}

/// Returns the line of output that says most about a debugger that shows no stack.
fn answer(output: &str) -> String {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_refusal = |line: &&str| {
        let line = line.to_lowercase();
        ["not permitted", "denied", "ptrace"].iter().any(|word| line.contains(word))
    };
    let line = lines().find(is_refusal).or_else(|| lines().next_back());
    line.map_or_else(|| "it has printed nothing".into(), |line| first(line, MOST_OF_ANSWER))
}

/// Returns all frames of each thread.
fn frames(output: &str) -> BTreeMap<u32, Vec<Frame>> {
    let mut found: BTreeMap<u32, Vec<Frame>> = BTreeMap::new();
    let mut of = None;
    for line in output.lines() {
        let line = &*first(line, MOST_OF_LINE);
        if let Some(tid) = thread(line) {
            of = Some(tid).filter(|_| found.len() < MOST_THREADS);
            found.extend(of.map(|tid| (tid, Vec::new())));
        }
        let frames = of.and_then(|tid| found.get_mut(&tid));
        let Some(frames) = frames.filter(|frames| frames.len() < MOST_FRAMES) else { continue };
        match (line.strip_prefix('#'), line.strip_prefix("    "), frames.last_mut()) {
            (Some(rest), ..) => frames.extend(frame(rest)),
            // eu-stack has the place on a line of its own.
            (_, Some(text), Some(last)) if last.place.is_empty() => last.place = place::parse(text),
            _ => {}
        }
    }
    found
}

/// Returns the id of the thread that a line announces: `TID 7:` of eu-stack, `Thread 2 (Thread
/// 0x7f… (LWP 7) "name"):`, `Thread 2 (LWP 7):` or `Thread 1 (process 7):` of gdb.
fn thread(line: &str) -> Option<u32> {
    let rest = match line.strip_prefix("TID ") {
        Some(rest) => rest,
        None => {
            let rest = line.strip_prefix("Thread ")?;
            let after = |word: &str| rest.find(word).map(|at| &rest[at + word.len()..]);
            after("LWP ").or_else(|| after("(process "))?
        }
    };
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Parses a line of a stack after its `#`.
fn frame(rest: &str) -> Option<Frame> {
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start();
    let (start, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let rest = if start.starts_with("0x") { after } else { rest };
    let rest = rest.strip_prefix("in ").unwrap_or(rest).trim();
    let at = rest.rsplit_once(" at ").map(|(call, text)| (call, place::parse(text)));
    let at = at.filter(|(_, place)| !place.is_empty());
    let (call, place) = at.unwrap_or((rest, String::new()));
    let call = call.rsplit_once(" from /").map_or(call, |(call, _)| call);
    let function = function::without_arguments(call).to_owned();
    Some(Frame { function, place }).filter(|frame| !frame.function.is_empty())
}

/// Returns whether a frame is of the user's code: neither of a crate that others wrote for all, nor
/// of the C library.
fn is_of_user(frame: &Frame) -> bool {
    if place::is_in_library(&frame.place) {
        return false;
    }
    match function::crate_of(&frame.function) {
        Some(name) => !function::is_of_library(name) && !function::is_of_attribute(&frame.function),
        // A function of C. Those of the C library come without a place, or with one of its build.
        None => !frame.place.is_empty() && !frame.place.starts_with('.'),
    }
}

fn first(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str) -> Vec<(u32, Vec<String>)> {
        let stacks = Stacks { output: output.into(), ..Stacks::default() };
        let shown = |frame: Frame| format!("{} {}", frame.function, frame.place);
        let threads = of_threads(&stacks).into_iter();
        threads.map(|(tid, frames)| (tid, frames.into_iter().map(shown).collect())).collect()
    }

    const GDB: &str = r##"[New LWP 3]
0x00007f53b656c545 in __GI___clock_nanosleep (clock_id=...) at ../sysdeps/clock_nanosleep.c:48
48	../sysdeps/clock_nanosleep.c: No such file or directory.

Thread 1 (Thread 0x7f53b649a780 (LWP 2) "a"):
#0  0x00007f53b656c545 in __GI___clock_nanosleep (req=...) at ../sysdeps/clock_nanosleep.c:48
#1  0x000055bf230281e7 in std::thread::functions::sleep () at library/std/src/thread/functions.rs:289
#2  0x000055bf230faba8 in <shop::Client as shop::Wait<()>>::answer<u32, (), fn() -> u8> (self=...) at tests/lan.rs:6
#3  0x000055bf23100b7e in main ()

Thread 2 (Thread 0x7f53b64996c0 (LWP 3) "LWP 9) x"):
#0  syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38
#1  std::sync::poison::mutex::Mutex<u32>::lock<u32> (self=...) at /rustc/59/library/std/src/mutex.rs:492
#2  0x000055bf230fa629 in a::inner_wait (m=...) at a.rs:2
#3  0x000055bf230fac70 in a::main::{closure#0} () at a.rs:5
#4  0x000055bf230fac71 in my_c_part (x=...) at c/part.c:5
#5  0x000055bf23100b3b in __rust_try ()
#6  0x00007f53b65a68ec in clone3 () from /lib/x86_64-linux-gnu/libc.so.6
[Inferior 1 (process 2) detached]
"##;

    /// Of a program with `debug = "line-tables-only"`.
    const LINES_ONLY: &str = r##"
Thread 1 (Thread 0x7f53b649a780 (LWP 2) "a"):
#0  0x00007f53b656c545 in syscall () at ../sysdeps/unix/sysv/linux/x86_64/syscall.S:38
#1  std::thread::park () at /rustc/59/library/std/src/thread/mod.rs:11
#2  0x000055bf230281e7 in shop::lan::wait () at tests/lan.rs:145
#3  asks () at tests/lan.rs:132
#4  do_call<fn(), ()> () at /rustc/59/library/std/src/panicking.rs:581
#5  0x000055bf23100b7e in catch_unwind<(), fn()> () at /rustc/59/library/std/src/panicking.rs:544
#6  run_body () at /home/a/netns-test/src/harness/child/test_thread.rs:119
"##;

    #[test]
    fn the_frames_of_the_user_are_kept() {
        let first = vec!["<shop::Client as shop::Wait>::answer tests/lan.rs:6".to_owned()];
        let second =
            ["a::inner_wait a.rs:2", "a::main::{closure#0} a.rs:5", "my_c_part c/part.c:5"];
        assert_eq!(of(GDB), [(2, first), (3, second.map(str::to_owned).to_vec())]);
        let lines = ["shop::lan::wait tests/lan.rs:145", "asks tests/lan.rs:132"];
        assert_eq!(of(LINES_ONLY), [(2, lines.map(str::to_owned).to_vec())]);
    }

    #[test]
    fn eu_stack_has_places_on_lines_of_their_own() {
        let output = "PID 2 - process\nTID 2:\n\
             #0  0x00007fab23219545 __GI___clock_nanosleep\n    ../sysdeps/clock_nanosleep.c:48:7\n\
             #1  0x000056384b8290e7 _RNvNtNtCsjrHSEGnQ3l9_3std6thread9functions5sleep\n    \
             library/std/src/sys/thread/unix.rs:553:26\n\
             #2  0x000056384b7fbba8 a::main::h1854dee5fd9945b4\n    /tmp/w/shop/src/a.rs:6:2\n\
             #3  0x000056384b7fbba9 _RNCNvNtCs1234_4shop3lan4wait0\n\
             #4  0x000056384b801b7e main\nTID 3:\n\
             #0  0x000056384b7fbc70 a::f::_$u7b$$u7b$closure$u7d$$u7d$::h258e359fe80155a7\n";
        let first = ["a::main shop/src/a.rs:6", "shop::lan::wait "].map(str::to_owned).to_vec();
        assert_eq!(of(output), [(2, first), (3, vec!["a::f::{{closure}} ".to_owned()])]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let of = |output: &str, problem: &str| {
            let program = "/usr/bin/gdb".into();
            let stacks = Stacks { program, output: output.into(), problem: problem.into() };
            problem_of(stacks)
        };
        let problem_text = |text: &str| Some(format!("the stacks of the threads, by gdb: {text}"));
        assert_eq!(of(GDB, ""), None);
        assert_eq!(of(GDB, "it was killed"), problem_text("it was killed"));
        let refused = "x\nptrace: Operation not permitted.\nNo stack.\n";
        assert_eq!(of(refused, ""), problem_text("ptrace: Operation not permitted."));
        assert_eq!(of("a\n\nbroken\n", ""), problem_text("broken"));
        assert_eq!(of("", ""), problem_text("it has printed nothing"));
    }

    fn problem_of(stacks: Stacks) -> Option<String> {
        problem(&Facts { stacks: Some(stacks), ..Facts::default() })
    }

    #[test]
    fn any_output_is_read() {
        let parts =
            ["#", "TID 1:\n", "Thread 1 (LWP 2):\n", " at :1:", "0x", "<(", ")>", "\u{1b}["];
        let parts = parts.into_iter().chain(["    ", "_R9", "$LT$", "::h", "漢", "\n", "#0  in ("]);
        let parts: Vec<&str> = parts.collect();
        let mut random = 7_u64;
        for _ in 0..2_000 {
            let text = (0..30).map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                parts[(random >> 33) as usize % parts.len()]
            });
            let output: String = text.collect();
            drop(of(&output));
            drop(problem_of(Stacks { output, ..Stacks::default() }));
        }
    }
}
