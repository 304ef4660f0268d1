//! What a test body can do to its process with the C library alone.

use std::ffi::{CStr, CString};

/// Ends the process without a word.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` is always allowed.
    unsafe { libc::_exit(status) }
}

/// Becomes `program`.
pub(crate) fn exec(program: &str) {
    let name = CString::new(program).unwrap();
    let arguments = [name.as_ptr(), std::ptr::null()];
    // SAFETY: both are terminated arrays that live through the call.
    unsafe { libc::execvp(name.as_ptr(), arguments.as_ptr()) };
    panic!("execvp: {}", std::io::Error::last_os_error());
}

/// Asks to be traced by the parent, which has not asked for that.
pub(crate) fn trace_me() {
    let none: libc::c_long = 0;
    // SAFETY: no memory is touched.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) }, 0);
}

/// As a breakpoint does.
pub(crate) fn traps() {
    // SAFETY: sends a signal.
    unsafe { libc::raise(libc::SIGTRAP) };
}

/// Sends this thread a signal that has a handler.
pub(crate) fn handles_a_signal() {
    extern "C" fn handler(_: libc::c_int) {}
    let handler = handler as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing.
    assert_ne!(unsafe { libc::signal(libc::SIGUSR1, handler) }, libc::SIG_ERR);
    // SAFETY: sends a signal that is handled.
    assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
}

/// Ends this thread and nothing else.
pub(crate) fn end_thread() -> ! {
    // SAFETY: the thread has nothing that others wait for.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit(2) does not return");
}

/// Reads from where nothing is mapped.
pub(crate) fn segfault() {
    let nowhere = std::hint::black_box(std::ptr::dangling::<u64>());
    // SAFETY: none; the point is the signal.
    println!("{}", unsafe { nowhere.read_volatile() });
}

/// Sends `signal` to this process.
pub(crate) fn kill_self(signal: i32) {
    // SAFETY: sends a signal.
    unsafe { libc::kill(std::process::id().try_into().unwrap(), signal) };
    // A signal to the process may be taken by another thread a moment later.
    loop {
        std::thread::park();
    }
}

/// Recurses until the stack is used up.
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if frame[0] == 0 { 0 } else { recurse(depth + 1) + std::hint::black_box(frame)[1] }
}

/// Registers `handler`, which `exit` calls.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler lives as long as the program.
    assert_eq!(unsafe { libc::atexit(handler) }, 0);
}

/// For [`at_exit`].
pub(crate) extern "C" fn abort_at_exit() {
    std::process::abort();
}

/// For [`at_exit`].
pub(crate) extern "C" fn hang_at_exit() {
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}

/// Closes every descriptor that there may be.
pub(crate) fn close_everything() {
    for number in 0..4096 {
        // SAFETY: no `OwnedFd` of this process is used after this.
        unsafe { libc::close(number) };
    }
}

/// Puts `/dev/null` where the three standard streams were.
pub(crate) fn replace_streams() {
    // SAFETY: the path is a C string.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    for number in 0..3 {
        // SAFETY: replaces a number.
        assert_eq!(unsafe { libc::dup2(null, number) }, number);
    }
}

/// `fork(2)`: the child in the parent, nothing in the child.
pub(crate) fn fork() -> Option<i32> {
    // SAFETY: the child does what these tests are about, and ends.
    match unsafe { libc::fork() } {
        0 => None,
        child => Some(child),
    }
}

/// As [`fork`], but the child is in a PID namespace of its own, where it has the id that
/// this process has here.
pub(crate) fn fork_with_own_number() -> Option<i32> {
    let own = std::process::id();
    // SAFETY: moves the next child.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWPID) }, 0);
    let child = fork();
    if let Some(init) = child {
        return Some(init);
    }
    // Process 1 there, which makes the one with the number.
    std::process::Command::new("mount").args(["-t", "proc", "none", "/proc"]).status().unwrap();
    std::fs::write("/proc/sys/kernel/ns_last_pid", (own - 1).to_string()).unwrap();
    match fork() {
        None => {
            assert_eq!(std::process::id(), own);
            None
        }
        Some(same) => {
            wait(same);
            exit_now(0)
        }
    }
}

/// Waits for the end of `child`.
pub(crate) fn wait(child: i32) {
    // SAFETY: no status is asked for.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
}

/// Runs `body` in a daemon: a grandchild in a session of its own. Returns when it runs.
pub(crate) fn daemonise(body: impl FnOnce()) {
    let mut ends = [0; 2];
    // SAFETY: the array takes two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [read, write] = ends;
    let Some(child) = fork() else {
        // SAFETY: makes a session, as the child leads no group.
        unsafe { libc::setsid() };
        if fork().is_none() {
            // SAFETY: one byte of a constant.
            unsafe { libc::write(write, c"x".as_ptr().cast(), 1) };
            body();
        }
        exit_now(0)
    };
    wait(child);
    let mut byte = 0_u8;
    // SAFETY: room for one byte.
    assert_eq!(unsafe { libc::read(read, (&raw mut byte).cast(), 1) }, 1);
}

/// Writes through the C library's `stdout`.
pub(crate) fn c_puts(text: &CStr) {
    // SAFETY: the format takes one C string.
    unsafe { libc::printf(c"%s".as_ptr(), text.as_ptr()) };
    // SAFETY: flushes every stream.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}
