//! What programs see of the file system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use netns_test::{Sandbox, SandboxUser};
use netns_test_tests::scratch;

use super::stdout_of;

/// A root of directories and links alone, and a sandbox that has the machine's programs there.
fn rootfs(name: &str) -> (PathBuf, Sandbox) {
    let root = scratch(name);
    let mut sandbox = Sandbox::new().rootfs(&root).user(SandboxUser::Root);
    for directory in ["usr", "proc", "sys", "dev", "tmp"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    sandbox = sandbox.bind("/usr", "/usr");
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let (host, own) = (Path::new("/").join(name), root.join(name));
        if let Ok(target) = fs::read_link(&host) {
            symlink(target, own).unwrap();
        } else if host.is_dir() {
            fs::create_dir(own).unwrap();
            sandbox = sandbox.bind(&host, &host);
        }
    }
    (root, sandbox)
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Everything below a directory, with the links' targets.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            all.push(entry.path());
        }
    }
    all.sort();
    all
}

#[test]
fn a_root_of_its_own_has_what_it_is_given_and_nothing_else() {
    let (root, sandbox) = rootfs("root");
    let (before, own_mounts) = (tree(&root), mounts());
    let mut names: Vec<_> = fs::read_dir(&root).unwrap().flatten().map(|e| e.file_name()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
    let listed = stdout_of(sandbox.command("ls").arg("/").env("LC_ALL", "C"));
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    assert_eq!(stdout_of(&mut sandbox.command("pwd")), "/\n");
    // The old root is gone: no mount but those below the new one.
    let inside = stdout_of(sandbox.command("cut").args(["-d", " ", "-f5", "/proc/self/mountinfo"]));
    for point in inside.lines() {
        let first = Path::new(point).components().nth(1).map(|part| part.as_os_str().to_owned());
        let is_own = first.is_none_or(|first| names.contains(&first.to_str().unwrap()));
        assert!(is_own, "{inside}");
    }
    assert_eq!(tree(&root), before);
    assert_eq!(mounts(), own_mounts);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn devices_and_terminals_are_there() {
    let (root, sandbox) = rootfs("devices");
    let script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && echo x > /dev/shm/file &&
        cat < /dev/fd/0 && test -c /dev/urandom && ls /dev/pts &&
        script -qec 'test -t 0 && echo a terminal' /dev/null; echo y > /dev/full || echo full";
    let mut command = sandbox.command("sh");
    let message = stdout_of(command.args(["-c", script]));
    assert_eq!(message.replace('\r', ""), "3\nptmx\na terminal\nfull\n");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn what_is_read_only_cannot_be_written_to() {
    let (root, sandbox) = rootfs("read-only");
    fs::create_dir_all(root.join("data/more")).unwrap();
    let tries = |sandbox: &Sandbox| {
        let script = "for place in / /data /data/more /tmp /dev/shm; do
            touch $place/file 2>/dev/null && echo $place; done; true";
        stdout_of(sandbox.command("sh").args(["-c", script]))
    };
    assert_eq!(tries(&sandbox), "/\n/data\n/data/more\n/tmp\n/dev/shm\n");
    for file in ["file", "data/file", "data/more/file", "tmp/file"] {
        fs::remove_file(root.join(file)).unwrap();
    }
    let data = sandbox.clone().read_only("/data");
    assert_eq!(tries(&data), "/\n/tmp\n/dev/shm\n");
    let all = sandbox.clone().tmpfs("/tmp").read_only("/");
    assert_eq!(tries(&all), "/tmp\n/dev/shm\n");
    // What is mounted below it, too; what comes later stays as it is.
    let below = sandbox.clone().tmpfs("/data/more").read_only("/data");
    assert_eq!(tries(&below), "/\n/tmp\n/dev/shm\n");
    let later = sandbox.read_only("/data").tmpfs("/data/more");
    assert_eq!(tries(&later), "/\n/data/more\n/tmp\n/dev/shm\n");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn without_a_root_of_its_own_a_program_sees_the_callers_files() {
    let place = scratch("bound");
    fs::write(place.join("file"), "content").unwrap();
    let before = mounts();
    let sandbox = Sandbox::new().bind(&place, "/mnt").tmpfs("/media");
    assert_eq!(stdout_of(sandbox.command("cat").arg("/mnt/file")), "content");
    assert_eq!(stdout_of(sandbox.command("cat").arg(place.join("file"))), "content");
    assert_eq!(stdout_of(sandbox.command("ls").args(["-A", "/media"])), "");
    // A file on a file, by a relative path.
    let sandbox = Sandbox::new().bind(place.join("file"), "/etc/hostname");
    assert_eq!(stdout_of(sandbox.command("cat").arg("/etc/hostname")), "content");
    assert_eq!(mounts(), before);
    let (from, to) = (place.join("file"), "/etc/hostname");
    let mut read_only = Sandbox::new().bind(&from, to).read_only(to).command("sh");
    let message = read_only.args(["-c", "echo x > /etc/hostname"]).output().unwrap();
    assert!(String::from_utf8_lossy(&message.stderr).contains("Read-only file system"));
    fs::remove_dir_all(place).unwrap();
}

/// A link in a root of another owner leads nowhere but into that root.
#[test]
fn links_do_not_lead_out_of_the_root() {
    let (root, sandbox) = rootfs("links");
    let outside = scratch("outside");
    fs::create_dir(root.join("inside")).unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink("/inside", root.join("in")).unwrap();
    symlink("../../../../../../../../inside", root.join("up")).unwrap();
    let error = sandbox.clone().tmpfs("/out").command("true").status().unwrap_err().to_string();
    assert!(error.starts_with("openat2 tmpfs on /out: ENOENT"), "{error}");
    for link in ["/in", "/up"] {
        let mut command = sandbox.clone().tmpfs(link).command("sh");
        let message = stdout_of(command.args(["-c", "touch /inside/file && ls /inside"]));
        assert_eq!(message, "file\n");
        assert_eq!(tree(&root.join("inside")), <[PathBuf; 0]>::default());
    }
    fs::remove_dir(root.join("proc")).unwrap();
    symlink(&outside, root.join("proc")).unwrap();
    let error = sandbox.command("true").status().unwrap_err().to_string();
    assert!(error.starts_with("openat2 proc on /proc: ENOENT"), "{error}");
    fs::remove_dir_all(root).unwrap();
    fs::remove_dir_all(outside).unwrap();
}

#[test]
fn places_that_cannot_be_are_refused() {
    let (root, sandbox) = rootfs("wrong");
    let error = |sandbox: Sandbox| sandbox.command("true").status().unwrap_err().to_string();
    let message = error(sandbox.clone().tmpfs("tmp"));
    assert_eq!(message, "mount tmpfs on tmp: a path of the sandbox begins with a slash");
    let message = error(sandbox.clone().read_only("/tmp/../x"));
    assert_eq!(message, "make read-only /tmp/../x: a path of the sandbox has no `..` in it");
    let message = error(sandbox.clone().bind("/a\0b", "/tmp"));
    assert!(message.contains("a path has no NUL byte"), "{message}");
    let message = error(sandbox.clone().bind("/nowhere", "/tmp"));
    assert_eq!(message, "bind /nowhere: ENOENT (No such file or directory)");
    let message = error(sandbox.clone().bind("/usr", "/nowhere"));
    assert!(message.starts_with("openat2 /usr on /nowhere: ENOENT"), "{message}");
    assert!(message.contains(&format!("nothing is created in {}", root.display())), "{message}");
    let message = error(Sandbox::new().rootfs("/nowhere"));
    assert_eq!(message, "take as root /nowhere: ENOENT (No such file or directory)");
    let message = error(Sandbox::new().rootfs("/proc/version"));
    assert_eq!(message, "take as root /proc/version: it is no directory");
    fs::remove_dir(root.join("sys")).unwrap();
    let message = error(sandbox);
    assert!(message.starts_with("openat2 sysfs on /sys: ENOENT"), "{message}");
    fs::remove_dir_all(root).unwrap();
}
