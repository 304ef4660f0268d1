//! Hosts have the file systems that the test had when it built the lab; what is mounted later is not
//! there, and an error that comes of it says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use netns_test::netns_test;
use netns_test_tests::{Said as _, scratch, stdout_of, text};

use super::two_hosts;

/// Mounts a file system that has a program, and a directory.
fn mount(place: &Path) {
    stdout_of("mount", &["-t", "tmpfs", "late", place.to_str().unwrap()]);
    fs::create_dir(place.join("directory")).unwrap();
    let program = place.join("program");
    fs::write(&program, "#!/bin/sh\necho it runs\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

const ADVICE: &str = "\n  the caller has it, and the node has not: nodes do not see what is mounted \
     after the lab was built; mount it before that, or on the node";

#[netns_test]
fn what_is_mounted_later_is_not_on_hosts() {
    let (lab, client, server) = two_hosts();
    let place = scratch("late-mounts");
    let (program, directory) = (place.join("program"), place.join("directory"));
    mount(&place);
    let enoent = "ENOENT (No such file or directory)";

    let message = lab[client].command(&program).spawn().unwrap_err().said();
    assert_eq!(message, format!("start {} on client: {enoent}{ADVICE}", program.display()));
    let message = lab[client].command("./program").current_dir(&place).spawn().unwrap_err();
    assert_eq!(message.said(), format!("start ./program on client: {enoent}{ADVICE}"));
    let message = lab[client].command("true").current_dir(&directory).spawn().unwrap_err();
    assert_eq!(message.raw_os_error(), Some(libc::ENOENT));
    let directory = directory.display();
    assert_eq!(message.said(), format!("chdir {directory} for true on client: {enoent}{ADVICE}"));

    // A mount that no node has is no difference.
    for (missing, searched) in
        [("/no/such/program", ""), ("no-such-program", "\n  searched: PATH=/bin")]
    {
        // One of the caller's directories may be closed to it.
        let message = lab[client].command(missing).env("PATH", "/bin").spawn().unwrap_err();
        assert_eq!(message.said(), format!("start {missing} on client: {enoent}{searched}"));
    }

    // Both ways out, and a host that is powered on is as new.
    lab[client].run(|| mount(&place));
    assert_eq!(text(&lab[client].command(&program).output().unwrap()), "it runs\n");
    lab.power_off(server).unwrap();
    lab.power_on(server).unwrap();
    assert_eq!(text(&lab[server].command(&program).output().unwrap()), "it runs\n");
    drop(lab);
    let lab = two_hosts().0;
    let found = lab.nodes().map(|host| text(&host.command(&program).output().unwrap()));
    assert_eq!(found.collect::<Vec<_>>(), ["it runs\n"; 2]);
    stdout_of("umount", &["-l", place.to_str().unwrap()]);
    fs::remove_dir(&place).unwrap();
}

/// A lab changes nothing of the mounts that are there: a test can go on to use `pivot_root` and the
/// like, which the kernel refuses below mounts that pass on what is mounted.
#[netns_test]
fn the_mounts_of_the_test_stay_private() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let (lab, client, _) = two_hosts();
    assert_eq!(mounts(), before);
    assert!(!before.contains("shared:") && !before.contains("master:"), "{before}");
    let on_host = lab[client].run(|| fs::read_to_string("/proc/thread-self/mountinfo")).unwrap();
    assert!(!on_host.contains("shared:") && !on_host.contains("master:"), "{on_host}");
}
