//! What is printed of a test, without what differs between machines and runs.

/// Returns libtest's text about the failed test `name`.
pub(crate) fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("---- {name} stdout ----\n"))?;
    let (section, _) = rest.split_once("\nfailures:\n")?;
    Some(section.trim())
}

/// The lines of a section that say something of the environment, in words that every machine
/// prints.
pub(crate) fn normal(section: &str) -> String {
    let lines = section.lines().filter(|line| !line.starts_with("note: "));
    lines.filter(|line| !is_not_everywhere(line)).map(|line| normal_line(line) + "\n").collect()
}

/// Evidence that some machines have: the label that a security module assigns to this process,
/// which here forbids nothing; the limit of a control group, by version 2 of these; settings that
/// are not the kernel's.
fn is_not_everywhere(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("/proc/self/attr/")
        || line.contains("interfaces have settings of the host: ")
        || (line.starts_with("/sys/fs/cgroup/") && line.contains("/pids."))
}

fn normal_line(line: &str) -> String {
    if let Some((before, _)) = line.split_once(" panicked at ") {
        let before = between(before, "' (", ")").map_or(before, |(before, _)| before);
        return format!("{}' panicked at PLACE", before.trim_end_matches('\''));
    }
    let line = evidence(line);
    let line = apparmor_profile(&line);
    // Said in a container, such as one that these tests are run in.
    line.replace("on the host of the container: ", "")
}

/// `file = value`, without values that are the machine's own.
fn evidence(line: &str) -> String {
    let Some((file, value)) = line.split_once(" = ") else { return line.to_owned() };
    let name = file.trim_start();
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let value = match name {
        "/proc/version" => "VERSION",
        "uid" => "UID",
        // These do not refuse anything.
        "/proc/sys/kernel/unprivileged_userns_clone" if value != "0" => "NOT 0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns" if value != "1" => "NOT 1",
        "/sys/fs/selinux/enforce" => "ANY",
        // A value that the environment has set is a small one.
        "CapEff in /proc/self/status" if value.bytes().any(|byte| byte != b'0') => "SOME",
        "threads in /proc/loadavg"
        | "/proc/sys/kernel/threads-max"
        | "/proc/sys/kernel/pid_max" => "MANY",
        _ if name.starts_with(COUNTED) => return "    COUNTED user = SOME".to_owned(),
        "Max processes in /proc/self/limits" if value.len() > 2 => "MANY",
        _ if name.starts_with("/proc/sys/user/max_") && is_number && value.len() > 2 => "MANY",
        _ => value,
    };
    format!("{file} = {value}")
}

/// How many there are of a user, with the number of that.
const COUNTED: &str = "processes and threads of user ";

/// The profile that is printed for Ubuntu, without its directory and the name made from that.
fn apparmor_profile(line: &str) -> String {
    const NAME: &str = "netns-test-";
    let mut parts = line.split(NAME);
    let mut line = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let is_name = digits == 8 && (line.ends_with("/apparmor.d/") || line.ends_with("profile "));
        let (name, rest) = if is_name { ("HASH", &part[digits..]) } else { ("", part) };
        line = format!("{line}{NAME}{name}{rest}");
    }
    match between(&line, "profile netns-test-HASH \"", "/*\"") {
        Some((before, after)) => {
            format!("{before}profile netns-test-HASH \"DIRECTORY/*\"{after}")
        }
        None => line,
    }
}

/// Returns the parts before `start` and after the next `end`.
fn between<'a>(line: &'a str, start: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = line.split_once(start)?;
    let (_, after) = rest.split_once(end)?;
    Some((before, after))
}

#[test]
fn what_differs_between_machines_is_gone() {
    let seen = "\
thread 'body' (123) panicked at tests/environments/main.rs:1:2:
    /proc/version = Linux version 6
    /proc/sys/user/max_net_namespaces = 96365
    /proc/sys/user/max_net_namespaces = 0
  fix that lasts: printf 'profile netns-test-8ce14160 \"/a b/c/*\" flags=(unconfined) { userns, }' | sudo tee /etc/apparmor.d/netns-test-8ce14160 && sudo apparmor_parser -r /etc/apparmor.d/netns-test-8ce14160
  fix: echo user.max_net_namespaces=15000
note: run with `RUST_BACKTRACE=1`";
    let expected = "\
thread 'body' panicked at PLACE
    /proc/version = VERSION
    /proc/sys/user/max_net_namespaces = MANY
    /proc/sys/user/max_net_namespaces = 0
  fix that lasts: printf 'profile netns-test-HASH \"DIRECTORY/*\" flags=(unconfined) { userns, }' | sudo tee /etc/apparmor.d/netns-test-HASH && sudo apparmor_parser -r /etc/apparmor.d/netns-test-HASH
  fix: echo user.max_net_namespaces=15000
";
    assert_eq!(normal(seen), expected);
    assert_eq!(normal("thread 'body' panicked at a:1:2:"), "thread 'body' panicked at PLACE\n");
}
