//! Commands that people paste.

use std::path::Path;

use crate::diagnose::facts::{Container, Facts};

/// A sysctl (`name=value`) in a file that is read at each start of the machine.
pub(super) fn sysctl_for_good(setting: &str) -> String {
    format!("echo {setting} | sudo tee -a /etc/sysctl.d/60-netns-test.conf")
}

/// How this container is told to filter no system calls.
pub(super) fn without_seccomp(facts: &Facts) -> &'static str {
    let around = facts.surroundings;
    if around.github {
        return "in the job: container: { image: …, options: --security-opt seccomp=unconfined }";
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

/// An AppArmor profile for the programs in the directory of `executable`, as commands.
pub(super) fn apparmor_profile(executable: &Path) -> Option<String> {
    let directory = executable.parent()?.to_str()?;
    let name = format!("netns-test-{:08x}", hash(directory));
    let escaped = escape(directory);
    Some(format!(
        "sudo tee /etc/apparmor.d/{name} <<'END'\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         profile {name} \"{escaped}/*\" flags=(unconfined) {{ userns, }}\n\
         END\n\
         sudo apparmor_parser -r /etc/apparmor.d/{name}"
    ))
}

/// Two profiles for one path would leave it without any, so each directory has a name.
fn hash(text: &str) -> u32 {
    // FNV-1a.
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Characters that mean something in a path of AppArmor (apparmor.d(5)).
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
        assert_ne!(text.lines().next(), other.lines().next());
    }
}
