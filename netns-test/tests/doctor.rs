//! The program `netns-test-doctor`, as a pipeline runs it.

#![cfg(target_os = "linux")]

use std::process::{Command, Output};

use serde_json::Value;

/// The doctor, started by a program and its arguments.
fn doctor(around: &[&str], arguments: &[&str]) -> Command {
    let own = env!("CARGO_BIN_EXE_netns-test-doctor");
    let (program, rest) =
        around.split_first().map_or((own, &[][..]), |(first, rest)| (*first, rest));
    let mut command = Command::new(program);
    command.args(rest).args((!around.is_empty()).then_some(own)).args(arguments);
    command.env_remove("NETNS_TEST");
    command
}

fn output(mut command: Command, status: i32) -> String {
    let Output { status: ended, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(ended.code(), Some(status), "{stdout}{stderr}");
    stdout + &stderr
}

fn json(around: &[&str], status: i32) -> Value {
    let text = output(doctor(around, &["--json"]), status);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Prefix of a command that may not make a user namespace, and has no rights outside its own.
const REFUSED: [&str; 2] = ["unshare", "-U"];

/// Prefix of a command that may not make a user namespace, but is root, so that it needs none.
const PRIVILEGED: [&str; 5] = [
    "unshare",
    "-Ur",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"",
];

#[test]
fn each_step_and_each_feature_is_reported() {
    let text = output(doctor(&[], &[]), 0);
    for line in [
        "\nA sandbox as for a test:\n",
        "\n  ok      clone with new namespaces: user, net, mnt, pid, uts, ipc\n",
        "\n  ok      bring lo up\n",
        "\n  ok      bind and connect on 127.0.0.1\n",
        "\nTests can be isolated here.\n",
        "\nWhat labs can use of this kernel:\n",
        " nf_tables  firewalls and NAT\n",
        "\nFacts:\n",
        "\n  Seccomp in /proc/self/status = ",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    let report = json(&[], 0);
    assert_eq!((&report["isolated"], &report["mode"]), (&true.into(), &"full".into()));
    assert_eq!((&report["refusal"], &report["settings"]), (&Value::Null, &Value::Null));
    let features = report["features"].as_array().unwrap();
    assert!(features.len() > 10, "{features:?}");
    for feature in features {
        let available =
            text.contains(&format!("  ok      {:<10} ", feature["name"].as_str().unwrap()));
        assert_eq!(feature["available"], available, "{feature}");
        assert_eq!(feature["missing"].is_null(), available, "{feature}");
    }
}

#[test]
fn a_refusal_is_diagnosed() {
    let text = output(doctor(&REFUSED, &[]), 1);
    assert!(text.contains("\n  FAILED  clone user namespace: EPERM"), "{text}");
    assert!(
        text.contains("\nTests cannot be isolated here: clone user namespace: EPERM"),
        "{text}"
    );
    assert!(text.contains("docs/ENVIRONMENTS.md#unmapped-ids"), "{text}");
    let report = json(&REFUSED, 1);
    assert_eq!((&report["isolated"], &report["mode"]), (&false.into(), &Value::Null));
    let diagnosis = &report["refusal"]["diagnosis"];
    assert_eq!(diagnosis["topic"], "unmapped-ids");
    assert_eq!(diagnosis["evidence"][0]["file"], "/proc/self/uid_map");
    assert_eq!(report["features"], Value::Array(Vec::new()));
}

#[test]
fn the_mode_is_reported() {
    let report = json(&PRIVILEGED, 0);
    assert_eq!((&report["isolated"], &report["mode"]), (&true.into(), &"privileged".into()));
    let attempts = report["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!(attempts[0]["failure"]["diagnosis"]["topic"], "max-namespaces");
    assert_eq!(attempts[1]["failure"], Value::Null);
    let steps = attempts[1]["steps"].as_array().unwrap();
    let mut limitations = steps.iter().filter_map(|step| step["limitation"].as_str());
    let expected = "the user namespace is the caller's: clone";
    assert!(limitations.any(|limitation| limitation.starts_with(expected)), "{steps:?}");
    let text = output(doctor(&PRIVILEGED, &[]), 0);
    assert!(text.contains("Tests can be isolated here, with the caller's rights"), "{text}");
}

#[test]
fn what_makes_every_test_fail_makes_the_doctor_fail() {
    let mut command = doctor(&[], &[]);
    command.env("NETNS_TEST", "maybe");
    let text = output(command, 1);
    assert!(text.contains("known: `require`, `skip`"), "{text}");
}

#[test]
fn arguments_are_checked() {
    assert!(output(doctor(&[], &["--help"]), 0).contains("usage: netns-test-doctor [--json]"));
    assert!(output(doctor(&[], &["--version"]), 0).contains(env!("CARGO_PKG_VERSION")));
    assert!(output(doctor(&[], &["--jsno"]), 2).contains("usage: "));
}
