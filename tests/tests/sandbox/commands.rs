//! A command of a sandbox beside one of the standard library.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use netns_test::{Sandbox, SandboxUser};
use netns_test_tests::confine::{Filter, filter_this_thread};
use netns_test_tests::scratch;

use super::stdout_of;

/// Prints what a program inherits, and what it is started with.
const SHOW: &str = "grep -E '^(Umask|SigBlk|SigIgn|SigCgt|NoNewPrivs)' /proc/self/status
    grep -E '^(Max open files|Max core|Max processes)' /proc/self/limits
    pwd; echo \"$1 $VALUE $HOME\"; exit 7";

#[test]
fn a_program_finds_what_it_would_find_outside() {
    let set = ["-c", SHOW, "name", "argument"];
    let mut outside = forked("sh");
    let outside = outside.args(set).env("VALUE", "of it").env_remove("HOME").output().unwrap();
    let mut inside = Sandbox::new().command("sh");
    let inside = inside.args(set).env("VALUE", "of it").env_remove("HOME").output().unwrap();
    assert_eq!(String::from_utf8(inside.stdout), String::from_utf8(outside.stdout));
    assert_eq!(inside.stderr, outside.stderr);
    assert_eq!((inside.status, inside.status.code()), (outside.status, Some(7)));
}

/// By fork, as those of a sandbox are: `posix_spawn` has the C library's own signals ignored.
pub(crate) fn forked(program: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    // SAFETY: nothing is done.
    unsafe { command.pre_exec(|| Ok(())) };
    command
}

#[test]
fn it_can_be_started_again_and_again() {
    let mut command = Sandbox::new().command("sh");
    command.args(["-c", "echo $$"]);
    for _ in 0..3 {
        assert_eq!(stdout_of(&mut command), "2\n");
    }
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(command.output().unwrap().stdout, b"");
}

#[test]
fn its_streams_can_be_piped() {
    let mut command = Sandbox::new().command("cat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    let mut line = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"one\n");
    assert_eq!(child.try_wait().unwrap(), None);
    stdin.write_all(b"two\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stdout, output.status.code()), (b"two\n".to_vec(), Some(0)));
}

/// A program that closes its stdout ends it for the reader: no helper holds a copy.
#[test]
fn a_stream_that_is_closed_is_closed() {
    let mut command = Sandbox::new().command("sh");
    command.args(["-c", "exec >&-; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut all = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!((all, child.try_wait().unwrap()), (Vec::new(), None));
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn environment_and_directory_can_be_set() {
    let mut command = Sandbox::new().command("/usr/bin/env");
    command.env_clear().envs([("A", "1"), ("B", "2")]);
    assert_eq!(stdout_of(&mut command), "A=1\nB=2\n");
    assert_eq!(stdout_of(Sandbox::new().command("pwd").current_dir("/usr")), "/usr\n");
}

#[test]
fn every_namespace_is_its_own_and_the_caller_stays() {
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let links = || {
        names.map(|name| {
            let link = fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
            link.to_str().unwrap().to_owned()
        })
    };
    let before = links();
    let paths = names.map(|name| format!("/proc/self/ns/{name}"));
    let inside = stdout_of(Sandbox::new().command("readlink").args(&paths));
    assert_eq!(links(), before);
    for ((name, inside), outside) in names.into_iter().zip(inside.lines()).zip(before) {
        assert_eq!(inside == outside, name == "cgroup", "{name}: {inside}, {outside}");
    }
    assert_eq!(inside.lines().count(), names.len());
}

#[test]
fn it_has_a_name_a_proc_and_a_network_of_its_own() {
    let sandbox = Sandbox::new().hostname("some.where");
    // By the shell itself: a program would be one more process.
    let script = "read name < /proc/sys/kernel/hostname; cd /proc; echo $name: [0-9]*; cd \
        /sys/class/net; echo *";
    let message = stdout_of(sandbox.command("sh").args(["-c", script]));
    assert_eq!(message, "some.where: 1 2\nlo\n");
    let up = stdout_of(sandbox.command("cat").arg("/sys/class/net/lo/flags"));
    assert_eq!(up, "0x9\n");
}

#[test]
fn its_exit_status_is_passed_on() {
    let end = |script: &str| Sandbox::new().command("sh").args(["-c", script]).status().unwrap();
    assert_eq!(end("exit 0").code(), Some(0));
    assert_eq!(end("exit 255").code(), Some(255));
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV, libc::SIGABRT, libc::SIGRTMIN()] {
        assert_eq!(end(&format!("kill -{signal} $$")).signal(), Some(signal));
    }
}

#[tokio::test]
async fn tokio_can_start_it() {
    let mut command = Sandbox::new().command("sh");
    command.args(["-c", "echo $$; exit 3"]);
    let output = tokio::process::Command::from(command.into_std().unwrap()).output().await.unwrap();
    assert_eq!((output.stdout, output.status.code()), (b"2\n".to_vec(), Some(3)));
}

#[test]
fn fifty_threads_start_programs_at_the_same_time() {
    std::thread::scope(|scope| {
        for number in 0..50 {
            scope.spawn(move || {
                let name = format!("host{number}");
                let mut command = Sandbox::new().hostname(&name).command("uname");
                assert_eq!(stdout_of(command.arg("-n")), format!("{name}\n"));
            });
        }
    });
}

/// Descriptors without close-on-exec, as C libraries open them.
struct Inherited(fs::File);

impl Inherited {
    fn open(path: &str) -> Self {
        let file = fs::File::open(path).unwrap();
        // SAFETY: sets a flag of an open descriptor.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        Self(file)
    }

    fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

#[test]
fn no_descriptor_is_inherited_but_the_standard_streams() {
    let directory = Inherited::open("/");
    // One far above the others.
    // SAFETY: makes a descriptor.
    let far = unsafe { libc::fcntl(directory.number(), libc::F_DUPFD, 900) };
    assert!(far >= 900);
    let listing = || {
        let mut command = Sandbox::new().command("ls");
        command.arg("/proc/self/fd");
        command
    };
    // The last one is that of the listing.
    assert_eq!(stdout_of(&mut listing()), "0\n1\n2\n3\n");
    assert_eq!(listing().into_std().unwrap().output().unwrap().stdout, b"0\n1\n2\n3\n");
    // The caller's own stay as they are.
    // SAFETY: reads a flag.
    assert_eq!(unsafe { libc::fcntl(far, libc::F_GETFD) }, 0);
    // SAFETY: closes what was made above.
    assert_eq!(unsafe { libc::close(far) }, 0);
}

/// Linux before 5.11 does not know the call so, and old filters do not know it.
#[test]
fn no_descriptor_is_inherited_without_close_range() {
    for errno in [libc::ENOSYS, libc::EINVAL, libc::EPERM] {
        let directory = Inherited::open("/");
        let output = std::thread::spawn(move || {
            filter_this_thread(Filter::Call(libc::SYS_close_range, errno)).unwrap();
            let _directory = directory;
            stdout_of(Sandbox::new().command("ls").arg("/proc/self/fd"))
        });
        assert_eq!(output.join().unwrap(), "0\n1\n2\n3\n");
    }
}

#[test]
fn a_descriptor_is_passed_on_purpose() {
    let _other = Inherited::open("/");
    let directory = scratch("passed");
    fs::write(directory.join("file"), "content\n").unwrap();
    let mut command = Sandbox::new().command("sh");
    let number = command.pass_fd(fs::File::open(directory.join("file")).unwrap());
    // By its number in `/proc` it is opened anew, and read from the start.
    command.args(["-c", &format!("cat /proc/self/fd/{number}; ls /proc/self/fd | wc -l")]);
    for _ in 0..2 {
        assert_eq!(stdout_of(&mut command), "content\n5\n");
    }
    fs::remove_dir_all(directory).unwrap();
}

/// The same that leads out of a root otherwise.
#[test]
fn a_directory_that_was_opened_does_not_lead_out_of_a_root() {
    let directory = Inherited::open("/");
    let script = format!("ls /proc/self/fd/{}/ 2>/dev/null || echo closed", directory.number());
    let root = scratch("root_without_a_way_out");
    let mut sandbox = Sandbox::new().rootfs(&root).user(SandboxUser::Root);
    for name in ["usr", "lib", "lib64", "bin", "proc", "sys", "dev"] {
        fs::create_dir(root.join(name)).unwrap();
        if !["proc", "sys", "dev"].contains(&name) && Path::new("/").join(name).exists() {
            sandbox = sandbox.bind(Path::new("/").join(name), Path::new("/").join(name));
        }
    }
    assert_eq!(stdout_of(sandbox.command("/bin/sh").args(["-c", &script])), "closed\n");
    fs::remove_dir_all(root).unwrap();
}
