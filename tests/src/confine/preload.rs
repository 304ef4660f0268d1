//! A library that starts a thread before the program's own code runs.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = r#"
#include <pthread.h>
#include <unistd.h>
static void *wait_forever(void *nothing) { for (;;) pause(); return nothing; }
__attribute__((constructor)) static void start(void) {
    pthread_t thread;
    if (pthread_create(&thread, 0, wait_forever, 0) != 0) _exit(125);
}
"#;

/// Compiles the library into `directory`, for `LD_PRELOAD`; `None` without a C compiler.
///
/// # Panics
///
/// Panics if the compiler refuses it.
#[must_use]
pub fn starts_a_thread(directory: &Path) -> Option<PathBuf> {
    let (source, library) = (directory.join("thread.c"), directory.join("thread.so"));
    std::fs::write(&source, SOURCE).expect("a file in a directory of our own");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-pthread", "-o"]).arg(&library).arg(&source);
    let output = compiler.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(library)
}
