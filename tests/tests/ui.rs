//! The compiler's words for every wrong use of the attribute, and the place they point to.
//!
//! Each file in `ui/` is compiled, and what the compiler says is compared with the `.stderr`
//! beside it. After a change that is meant, run this test with `TRYBUILD=overwrite` and read
//! the difference.
//!
//! The files were recorded with one version of Rust; others word and draw errors differently.
//! With any other this test is left out, and says so; in CI (where `CI` is set) that is a
//! failure, unless `CI_OTHER_TOOLCHAIN=1` says that it is meant.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The minor version of Rust that the `.stderr` files are from.
const RECORDED_WITH: u32 = 95;

/// The compiler removes tests unless it is to make a test binary, and with them the mistakes in
/// them; trybuild makes an ordinary program. (Cargo calls the compiler without `--emit` to ask
/// about the target.)
const AS_TESTS: &str = "\
#!/bin/sh
case \"$*\" in
    *--emit=*) exec \"$@\" --test ;;
    *) exec \"$@\" ;;
esac
";

/// The compiler that cargo calls for the packages of a workspace: here, that of the cases.
const WRAPPER: &str = "RUSTC_WORKSPACE_WRAPPER";

#[test]
fn errors_point_to_the_mistake() {
    let wrapper = write_wrapper();
    let found = minor_version();
    if found != RECORDED_WITH {
        let difference =
            format!("this is Rust 1.{found}, and tests/ui/*.stderr is from 1.{RECORDED_WITH}");
        let set = |name| std::env::var_os(name).is_some();
        let meant = set("CI_OTHER_TOOLCHAIN") || !set("CI");
        assert!(meant, "{difference}: set CI_OTHER_TOOLCHAIN=1 to leave this test out");
        // Past libtest, which shows nothing of a test that passes.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "tests/ui.rs: left out: {difference}").unwrap();
        return;
    }
    if std::env::var_os(WRAPPER).is_some_and(|value| wrapper == Path::new(&value)) {
        trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
    } else {
        // Again, with the variable: a process with threads cannot set it for itself.
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "errors_point_to_the_mistake", "--show-output"])
            .env(WRAPPER, &wrapper)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .output()
            .unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "see above");
    }
}

#[test]
fn every_case_is_numbered_and_recorded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (sources, recorded): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.extension().is_some_and(|ext| ext == "rs"));
    let expected: Vec<_> = sources.iter().map(|path| path.with_extension("stderr")).collect();
    assert_eq!(recorded, expected);
    let mut numbers: Vec<usize> = sources
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let number = text.strip_prefix("// ").and_then(|rest| rest.split_once(". "));
            number.unwrap_or_else(|| panic!("{} has no number", path.display())).0.parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=sources.len()).collect::<Vec<_>>());
}

fn minor_version() -> u32 {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(compiler).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let minor = text.strip_prefix("rustc 1.").and_then(|rest| rest.split('.').next());
    minor.and_then(|minor| minor.parse().ok()).unwrap_or_else(|| panic!("what Rust is {text:?}?"))
}

/// Writes the script, into a directory that cargo has made for this test.
fn write_wrapper() -> PathBuf {
    let wrapper = Path::new(env!("CARGO_TARGET_TMPDIR")).join("as-tests.sh");
    let written = fs::write(&wrapper, AS_TESTS)
        .and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)));
    if let Err(error) = written {
        panic!(
            "{}: {error}\nthis test compiles in the target directory: run it as the user who owns that",
            wrapper.display()
        );
    }
    wrapper
}
