//! A supervisor that takes the capabilities of each process that gets a user namespace,
//! before its first instruction: what AppArmor does on Ubuntu, where there is no AppArmor.
//!
//! It traces the program and all that this starts (ptrace(2)), and has each new process call
//! capset(2). It runs in a fork of a process that has threads: nothing here may allocate.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::ptr;

use super::steps::{FAILED, check, exit, give_up, prctl};

/// `sizeof(struct __user_cap_header_struct)` and its data, in words.
const CAPABILITIES: [u64; 4] = [0x2008_0522, 0, 0, 0];

/// `syscall`, as the processor reads it.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Returns in a child of the calling process, which is traced from there on; the calling
/// process supervises it and ends as it ends.
pub(super) fn split() -> io::Result<()> {
    let mut ready = [0; 2];
    // SAFETY: the kernel writes two descriptors to a live array.
    check(unsafe { libc::pipe2(ready.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the child makes only system calls until it runs its program.
    let pid = unsafe { libc::fork() };
    check(pid)?;
    if pid > 0 {
        supervise(pid, ready[1]);
    }
    // SAFETY: the descriptor was opened above, and nothing else in this process uses it.
    unsafe { libc::close(ready[1]) };
    let mut byte = 0_u8;
    // SAFETY: one byte is written to a live variable.
    match unsafe { libc::read(ready[0], (&raw mut byte).cast(), 1) } {
        1 => Ok(()),
        _ => exit(FAILED),
    }
}

fn supervise(program: libc::pid_t, ready: libc::c_int) -> ! {
    let options = libc::PTRACE_O_EXITKILL
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE;
    must(c"PR_SET_PDEATHSIG", prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong));
    must(c"PTRACE_SEIZE", ptrace(libc::PTRACE_SEIZE, program, 0, options as usize));
    // SAFETY: one byte is there to read.
    must(c"write", check(unsafe { libc::write(ready, [0_u8].as_ptr().cast(), 1) }));
    // The caller waits until all copies of these are closed; the program has its own.
    // SAFETY: this process uses none of them.
    must(c"close_range", check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }));
    loop {
        let (pid, status) = next_change();
        if libc::WIFSTOPPED(status) {
            go_on(pid, status);
        } else if pid == program {
            exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { FAILED });
        }
    }
}

/// A process that has stopped or ended.
fn next_change() -> (libc::pid_t, libc::c_int) {
    let mut status = 0;
    loop {
        // SAFETY: the status is written to a live variable.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        match check(pid) {
            Ok(()) => return (pid, status),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => give_up([c"waitpid", c""], &error),
        }
    }
}

/// Lets a process go on that has stopped for this supervisor or by a signal.
fn go_on(pid: libc::pid_t, status: libc::c_int) {
    let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
    let result = match event {
        0 => ptrace(libc::PTRACE_CONT, pid, 0, signal as usize),
        // Its first stop, before it has run.
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => {
            take_capabilities(pid).and_then(|()| ptrace(libc::PTRACE_CONT, pid, 0, 0))
        }
        libc::PTRACE_EVENT_STOP => ptrace(libc::PTRACE_LISTEN, pid, 0, 0),
        _ => ptrace(libc::PTRACE_CONT, pid, 0, 0),
    };
    let is_killed = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
    if !result.as_ref().is_err_and(is_killed) {
        must(c"ptrace", result);
    }
}

/// From a process in another user namespace than this one's.
fn take_capabilities(pid: libc::pid_t) -> io::Result<()> {
    let mut path = [0; 32];
    // SAFETY: at most so many bytes are written, the last one 0.
    unsafe {
        libc::snprintf(path.as_mut_ptr(), path.len(), c"/proc/%d/ns/user".as_ptr(), pid);
    }
    let Ok(namespace) = namespace(path.as_ptr()) else {
        // Killed, and so without namespaces.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    };
    if namespace == self::namespace(c"/proc/self/ns/user".as_ptr())? {
        return Ok(());
    }
    drop_capabilities(pid)
}

/// Makes the process, which has just returned from clone(2), call capset(2) by the same
/// instruction, and forget it.
fn drop_capabilities(pid: libc::pid_t) -> io::Result<()> {
    // SAFETY: zero bytes are valid registers.
    let mut own: libc::user_regs_struct = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS, pid, 0, (&raw mut own).addr())?;
    let instruction = own.rip - SYSCALL.len() as u64;
    // Below what a function may use of the stack without moving its end.
    let memory = (own.rsp - 512) & !15;
    for (place, word) in (memory..).step_by(size_of::<u64>()).zip(CAPABILITIES) {
        ptrace(libc::PTRACE_POKEDATA, pid, place as usize, word as usize)?;
    }
    let call = libc::user_regs_struct {
        rip: instruction,
        rax: libc::SYS_capset as u64,
        // No call that a signal would restart.
        orig_rax: u64::MAX,
        rdi: memory,
        rsi: memory + size_of::<u64>() as u64,
        ..own
    };
    ptrace(libc::PTRACE_SETREGS, pid, 0, (&raw const call).addr())?;
    ptrace(libc::PTRACE_SINGLESTEP, pid, 0, 0)?;
    let mut status = 0;
    // SAFETY: the status is written to a live variable.
    check(unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) })?;
    if !libc::WIFSTOPPED(status) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // SAFETY: zero bytes are valid registers.
    let mut after: libc::user_regs_struct = unsafe { mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS, pid, 0, (&raw mut after).addr())?;
    if after.rip != own.rip || after.rax != 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    ptrace(libc::PTRACE_SETREGS, pid, 0, (&raw const own).addr())
}

/// Identity of a namespace.
fn namespace(path: *const libc::c_char) -> io::Result<(libc::dev_t, libc::ino_t)> {
    // SAFETY: zero bytes are a valid `stat`.
    let mut data: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: callers give C strings; the kernel writes one `stat` to the live variable.
    check(unsafe { libc::stat(path, &raw mut data) })?;
    Ok((data.st_dev, data.st_ino))
}

fn ptrace(
    request: impl TryInto<libc::c_uint>,
    pid: libc::pid_t,
    address: usize,
    data: usize,
) -> io::Result<()> {
    let request = request.try_into().unwrap_or(0);
    let (address, data) =
        (ptr::without_provenance::<u8>(address), ptr::without_provenance::<u8>(data));
    // SAFETY: what the requests write here are registers, to live variables of their type.
    check(unsafe { libc::syscall(libc::SYS_ptrace, request, pid, address, data) })
}

/// A supervisor that fails takes the program with it.
fn must(what: &CStr, result: io::Result<()>) {
    if let Err(error) = result {
        give_up([what, c""], &error);
    }
}
