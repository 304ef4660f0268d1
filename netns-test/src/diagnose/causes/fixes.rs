//! Commands to paste into a shell.

use std::path::Path;

use crate::diagnose::facts::{Container, Facts};

/// Returns the command that sets a sysctl (`name=value`) at each boot.
pub(crate) fn sysctl_for_good(setting: &str) -> String {
    format!("echo {setting} | sudo tee -a /etc/sysctl.d/60-netns-test.conf")
}

/// Returns how to start this container without a seccomp filter.
pub(crate) fn without_seccomp(facts: &Facts) -> &'static str {
    let around = facts.surroundings;
    if around.github && facts.container.is_some() {
        return "in the job: container: { image: …, options: --privileged }";
    }
    if around.gitlab && !around.kubernetes {
        return "in the runner's config.toml: [runners.docker] security_opt = [\"seccomp=unconfined\"]";
    }
    if around.kubernetes {
        return "in the pod: securityContext: { seccompProfile: { type: Unconfined } }";
    }
    match facts.container {
        Some(Container::Podman) => "podman run --security-opt seccomp=unconfined …",
        Some(Container::Flatpak) => {
            "run the tests outside of the sandbox: flatpak-spawn --host cargo test"
        }
        Some(Container::Docker) | None => {
            "docker run --security-opt seccomp=unconfined … (or --privileged); for other \
             sandboxes, run the tests outside"
        }
    }
}

/// Returns commands that add an AppArmor profile for the programs in the directory of `executable`.
pub(crate) fn apparmor_profile(executable: &Path) -> Option<String> {
    // The doctor is not in the directory of the tests.
    if executable.file_name()? == "netns-test-doctor" {
        return None;
    }
    let directory = executable.parent()?.to_str()?;
    let name = format!("netns-test-{:08x}", hash(directory));
    let profile =
        format!("profile {name} \"{}/*\" flags=(unconfined) {{ userns, }}", escape(directory));
    // One line can be pasted as a whole. A quote in a path is escaped for the shell.
    let lines = ["abi <abi/4.0>,", "include <tunables/global>", &profile]
        .map(|line| format!("'{}'", line.replace('\'', r"'\''")));
    Some(format!(
        "printf '%s\\n' {} | sudo tee /etc/apparmor.d/{name} && \
         sudo apparmor_parser -r /etc/apparmor.d/{name}",
        lines.join(" ")
    ))
}

/// Hashes a directory to a profile name: with two profiles for one path AppArmor applies neither.
fn hash(text: &str) -> u32 {
    // FNV-1a.
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Escapes the special characters of an AppArmor path (apparmor.d(5)).
fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for character in path.chars() {
        if matches!(character, '\\' | '"' | '*' | '?' | '[' | ']' | '{' | '}' | '^' | '@') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_for_the_directory_of_the_test_binaries() {
        let text = apparmor_profile(Path::new("/home/me/my [new] crate/target/debug/deps/t-1"));
        let text = text.unwrap();
        let path = r#""/home/me/my \[new\] crate/target/debug/deps/*" flags=(unconfined)"#;
        assert!(text.contains(path), "{text}");
        let other = apparmor_profile(Path::new("/home/me/other/target/debug/deps/t-1")).unwrap();
        let name = |text: &str| text.split_once("profile ").unwrap().1[..19].to_owned();
        assert_ne!(name(&text), name(&other));
        assert_eq!(apparmor_profile(Path::new("/target/debug/netns-test-doctor")), None);
        let quoted = apparmor_profile(Path::new("/home/o'neill/deps/t-1")).unwrap();
        assert!(quoted.contains(r"/home/o'\''neill/deps/*"), "{quoted}");
        for pasted in [text, quoted] {
            let parsed = std::process::Command::new("sh").args(["-n", "-c", &pasted]).status();
            assert!(parsed.unwrap().success(), "{pasted}");
            assert!(!pasted.contains('\n'), "{pasted}");
        }
    }
}
