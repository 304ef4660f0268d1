//! Every Rust block of README.md, of the guides, and of the documentation of the attribute compiles
//! in a crate of its own, as a reader would make one, and its tests pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fmt::Write as _, fs};

/// Documents with Rust blocks. Those in the macro crate are no doctests, since it does not depend
/// on the library.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "netns-test/LAB.md",
    "docs/BAD-NETWORKS.md",
    "docs/CAPTURE.md",
    "docs/NAT.md",
    "docs/NETNS.md",
    "docs/SANDBOX.md",
    "netns-test-macros/src/lib.rs",
];

#[test]
fn every_block_passes() {
    let mut blocks = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(workspace().join(document)).unwrap();
        let shown = rust_blocks(&if document.ends_with(".rs") { docs(&text) } else { text });
        assert!(shown.iter().any(|block| !tests_in(block).is_empty()), "{document} shows no test");
        blocks.extend(shown);
    }
    let target = target_directory();
    if let Err(error) = fs::create_dir_all(&target).and_then(|()| probe(&target)) {
        panic!("write to {}: {error}", target.display());
    }
    let place = netns_test_tests::scratch("readme");
    write_crate(&place, &blocks);
    let output = run_tests(&place, &target);
    for (number, block) in blocks.iter().enumerate() {
        for test in tests_in(block) {
            let passed = format!("test block_{number}::{test} ... ok");
            let passed_as_panic = format!("test block_{number}::{test} - should panic ... ok");
            let is_passed = |line: &str| line == passed || line == passed_as_panic;
            assert!(output.lines().any(is_passed), "no line {passed:?} in\n{output}");
        }
    }
    let count: usize = blocks.iter().map(|block| tests_in(block).len()).sum();
    let summary = format!("test result: ok. {count} passed; 0 failed; 0 ignored;");
    assert!(output.contains(&summary), "no {summary:?} in\n{output}");
}

/// Writes a library with a module for each block. It has the workspace's Cargo.lock, so that the
/// same dependencies are used.
fn write_crate(place: &Path, blocks: &[String]) {
    let source = place.join("src");
    fs::create_dir_all(&source).unwrap();
    let mut library = String::new();
    for (number, block) in blocks.iter().enumerate() {
        writeln!(library, "#[cfg(test)]\nmod block_{number};").unwrap();
        fs::write(source.join(format!("block_{number}.rs")), block).unwrap();
    }
    fs::write(source.join("lib.rs"), library).unwrap();
    let path = workspace().join("netns-test");
    let manifest = format!(
        "[package]\nname = \"reader\"\nedition = \"2024\"\n\n\
         [dev-dependencies]\nnetns-test = {{ path = {path:?} }}\n\
         tokio = {{ version = \"1\", features = [\"net\"] }}\n\n[workspace]\n"
    );
    fs::write(place.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
}

/// Runs the tests in `place`, removes it, and returns the output.
fn run_tests(place: &Path, target: &Path) -> String {
    let output = cargo(place, target, &["test", "--offline"]);
    // The next run uses another path, so the artifacts of this one are useless.
    cargo(place, target, &["clean", "--offline", "--package", "reader"]);
    fs::remove_dir_all(place).unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cargo test of the README's blocks failed:\n{err}\n{out}");
    out.into_owned()
}

fn cargo(place: &Path, target: &Path, arguments: &[&str]) -> Output {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_INCREMENTAL", "0")
        // Most of the time would go into linking what a debugger needs.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("CARGO_BUILD_TARGET")
        .current_dir(place)
        .output()
        .expect("cargo starts")
}

fn probe(directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!(".probe-{}", std::process::id()));
    fs::write(&file, "")?;
    fs::remove_file(&file)
}

/// Returns a directory below the workspace's target directory, so that a second run builds little.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("readme")
}

/// Returns the doc comments of a Rust file.
fn docs(source: &str) -> String {
    let lines = source.lines().filter_map(|line| line.strip_prefix("///"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

/// Returns the text of each block that is marked as Rust.
fn rust_blocks(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if language.split(',').next() == Some("rust") {
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// Returns the names of the functions under `#[netns_test]`.
fn tests_in(block: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("#[netns_test") {
            let function = lines.by_ref().find_map(|line| line.split_once("fn "));
            tests.extend(function.and_then(|(_, rest)| rest.split('(').next()));
        }
    }
    tests
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn blocks_and_their_tests_are_found() {
    let text = "a\n```rust\n#[netns_test]\n#[ignore]\nfn one() {}\n```\n```toml\nb\n```\n\
                ```rust,should_panic\n#[netns_test(user = \"root\")]\nasync fn two() {}\n```\n";
    let blocks = rust_blocks(text);
    assert_eq!(blocks.len(), 2);
    assert_eq!(tests_in(&blocks[0]), ["one"]);
    assert_eq!(tests_in(&blocks[1]), ["two"]);
}
