//! The attribute in packages other than this one: of every edition, of a name that hides `core`, in
//! modules without a prelude, and in a library beside its `#[cfg(test)]` modules.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The packages, each with its edition. The first hides the crate `core` from its tests.
const PACKAGES: [(&str, &str); 5] = [
    ("core", "2021"),
    ("edition-2015", "2015"),
    ("edition-2018", "2018"),
    ("edition-2021", "2021"),
    ("edition-2024", "2024"),
];

/// A test outside of a test module, as a package with netns-test for its tests alone has to write
/// it.
const LIBRARY: &str = "\
#[cfg(test)]
#[netns_test::netns_test]
fn outside_of_a_test_module() {}
";

const TESTS: &str = r##"
extern crate netns_test;

fn isolated() {
    assert_eq!(std::os::unix::process::parent_id(), 1);
    println!("ran {}", std::thread::current().name().unwrap());
}

mod with_prelude {
    use netns_test::netns_test;

    #[netns_test]
    fn sync() {
        ::isolated();
    }

    #[netns_test]
    fn r#loop() -> Result<(), String> {
        ::isolated();
        Ok(())
    }

    #[netns_test(timeout = "none")]
    #[should_panic(expected = "as it should")]
    #[inline(never)]
    fn panics() {
        ::isolated();
        panic!("as it should");
    }
}

#[no_implicit_prelude]
mod without_prelude {
    #[::netns_test::netns_test]
    fn sync() {
        ::isolated();
    }

    #[::netns_test::test(timeout = "30s")]
    fn unit() -> () {
        ::isolated();
    }
}

macro_rules! tests {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {
        $($(#[$attribute])* #[netns_test::netns_test] fn $name() $body)*
    };
}
tests! {
    fn from_a_macro() { isolated() }
    #[allow(unused)] fn from_a_macro_again() { isolated() }
}
"##;

/// The names of [`TESTS`] but for those of an `async fn`.
const SYNC: [&str; 7] = [
    "from_a_macro",
    "from_a_macro_again",
    "with_prelude::panics",
    "with_prelude::r#loop",
    "with_prelude::sync",
    "without_prelude::sync",
    "without_prelude::unit",
];

/// For the editions with `async`.
const ASYNC: &str = r#"
#[netns_test::netns_test]
async fn r#async() -> Result<(), String> {
    isolated();
    Ok(())
}

#[no_implicit_prelude]
mod async_without_prelude {
    #[::netns_test::netns_test(flavor = "multi_thread", worker_threads = 1)]
    async fn body() {
        ::isolated();
    }
}
"#;

#[test]
fn tests_run_in_packages_of_every_kind() {
    let place = netns_test_tests::scratch("packages");
    for (name, edition) in PACKAGES {
        write_package(&place.join(name), name, edition);
    }
    let members = PACKAGES.map(|(name, _)| format!("{name:?}")).join(", ");
    let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = [{members}]\n");
    fs::write(place.join("Cargo.toml"), manifest).unwrap();
    fs::copy(workspace().join("Cargo.lock"), place.join("Cargo.lock")).unwrap();
    let output = cargo(&place, &["test", "--offline", "--no-fail-fast", "--", "--show-output"]);
    // They are at another place the next time, so what was built of them is of no use then.
    let clean = PACKAGES.iter().flat_map(|(name, _)| ["--package", name]);
    cargo(&place, &[&["clean", "--offline"], &clean.collect::<Vec<_>>()[..]].concat());
    fs::remove_dir_all(&place).unwrap();

    let is_outside = |line: &&str| *line == "test outside_of_a_test_module ... ok";
    assert_eq!(output.lines().filter(is_outside).count(), PACKAGES.len(), "{output}");
    let mut expected: Vec<String> = Vec::new();
    for (_, edition) in PACKAGES {
        let names = SYNC.iter().chain(&["r#async", "async_without_prelude::body"]);
        let count = if edition == "2015" { SYNC.len() } else { SYNC.len() + 2 };
        expected.extend(names.take(count).map(|name| format!("ran {name}")));
    }
    let ran = output.lines().filter(|line| line.starts_with("ran "));
    let mut ran: Vec<String> = ran.map(str::to_owned).collect();
    expected.sort();
    ran.sort();
    assert_eq!(ran, expected, "{output}");
}

/// Writes a package with the dependencies of the README's blocks, so that these are built once.
fn write_package(place: &Path, name: &str, edition: &str) {
    for directory in ["src", "tests"] {
        fs::create_dir_all(place.join(directory)).unwrap();
    }
    let path = workspace().join("netns-test");
    let manifest = format!(
        "[package]\nname = {name:?}\nedition = {edition:?}\n\n\
         [dev-dependencies]\nnetns-test = {{ path = {path:?} }}\n\
         tokio = {{ version = \"1\", features = [\"net\"] }}\n"
    );
    fs::write(place.join("Cargo.toml"), manifest).unwrap();
    // Paths from the root are written otherwise since 2018.
    let (library, tests) = match edition {
        "2015" => (format!("#[cfg(test)]\nextern crate netns_test;\n{LIBRARY}"), TESTS.to_owned()),
        _ => {
            (LIBRARY.to_owned(), format!("{TESTS}{ASYNC}").replace("::isolated", "crate::isolated"))
        }
    };
    fs::write(place.join("src/lib.rs"), library).unwrap();
    fs::write(place.join("tests/tests.rs"), tests).unwrap();
}

/// Runs cargo, and returns both of its streams.
fn cargo(place: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_directory())
        .env("CARGO_INCREMENTAL", "0")
        // Most of the time would go into linking what a debugger needs.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUST_TEST_NOCAPTURE")
        .current_dir(place)
        .output()
        .expect("cargo can be started");
    let text = netns_test_tests::text(&output);
    assert!(output.status.success(), "cargo {arguments:?} failed:\n{text}");
    text
}

/// Target directory of the README's blocks, which have the same dependencies.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("readme")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
