//! Filters of system calls, as containers, systemd and sandboxes have them (seccomp(2)).

use std::io;

use super::steps::{check, prctl};

/// Filters, by the program or service that installs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Docker's and containerd's, for a process without `CAP_SYS_ADMIN`: what has to do with
    /// namespaces and mounts is refused whatever it is asked for.
    Docker,
    /// Filter of systemd's `RestrictNamespaces=`: unshare(2) and clone(2) are refused when they
    /// are asked for namespaces.
    Systemd,
    /// One that refuses clone(2) with namespaces, and no other call, with this errno.
    Namespaces(i32),
    /// One that says that the kernel has no such system calls.
    Absent,
    /// Filter of sandboxes without a network: sockets of other families than `AF_UNIX` are
    /// refused, with this errno.
    Sockets(i32),
    /// A security module's rules for a container: namespaces are allowed, mounts are not.
    Mounts,
    /// Filter of systemd's `SystemCallFilter=@system-service`: namespaces by clone(2), but who
    /// asks for a mount or calls unshare(2) is killed.
    Deadly,
    /// One that refuses a single call, with this errno: the number is of `libc::SYS_*`.
    Call(libc::c_long, i32),
    /// One that kills who makes this call: the number is of `libc::SYS_*`.
    DeadlyCall(libc::c_long),
    /// One that refuses to mount what is mounted already a second time, with this errno.
    Binds(i32),
    /// One that refuses to attach a mount to a path, with this errno; not to a descriptor.
    Attaching(i32),
    /// One that refuses to write so many bytes at once, with this errno.
    Writes(u32, i32),
    /// One that has nothing to do with namespaces, as most programs have that have one.
    Unrelated,
}

/// Arguments that are compared besides the number of the call.
#[derive(Clone, Copy)]
enum If {
    Always,
    /// Any of these bits is set in this argument.
    AnyOf(u32, u32),
    /// This argument is this number.
    Is(u32, u32),
    /// This argument is another number.
    IsNot(u32, u32),
}

/// A call, when it is refused, and with which errno.
type Rule = (libc::c_long, If, i32);

/// Stands for an errno where the caller is killed.
const DEATH: i32 = 0;

/// Every `CLONE_NEW*` but `CLONE_NEWTIME`, which clone(2) does not take.
const NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP) as u32;

/// Which argument of clone(2) has the flags.
const CLONE_FLAGS: u32 = if cfg!(target_arch = "s390x") { 1 } else { 0 };

const MOUNTING: [libc::c_long; 9] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
];

/// clone3(2) has its flags in memory, where no filter can look: the C library is to take
/// clone(2) instead.
const NO_CLONE3: Rule = (libc::SYS_clone3, If::Always, libc::ENOSYS);

fn rules(filter: Filter) -> Vec<Rule> {
    let namespaces = If::AnyOf(CLONE_FLAGS, NAMESPACES);
    let clone = |errno| (libc::SYS_clone, namespaces, errno);
    let always = |call, errno| (call, If::Always, errno);
    match filter {
        Filter::Docker => {
            let others = [libc::SYS_unshare, libc::SYS_setns, libc::SYS_sethostname];
            let refused = others.into_iter().chain(MOUNTING);
            let refused = refused.map(|call| always(call, libc::EPERM));
            [clone(libc::EPERM), NO_CLONE3].into_iter().chain(refused).collect()
        }
        Filter::Systemd => vec![
            clone(libc::EPERM),
            NO_CLONE3,
            (libc::SYS_unshare, If::AnyOf(0, NAMESPACES), libc::EPERM),
            always(libc::SYS_setns, libc::EPERM),
        ],
        Filter::Namespaces(errno) => vec![clone(errno), NO_CLONE3],
        Filter::Absent => {
            vec![clone(libc::ENOSYS), NO_CLONE3, always(libc::SYS_unshare, libc::ENOSYS)]
        }
        Filter::Sockets(errno) => {
            vec![(libc::SYS_socket, If::IsNot(0, libc::AF_UNIX as u32), errno)]
        }
        Filter::Mounts => MOUNTING.map(|call| always(call, libc::EACCES)).into(),
        Filter::Deadly => {
            let others = [libc::SYS_unshare, libc::SYS_setns];
            others.into_iter().chain(MOUNTING).map(|call| always(call, DEATH)).collect()
        }
        Filter::Binds(errno) => {
            vec![(libc::SYS_mount, If::AnyOf(3, libc::MS_BIND as u32), errno)]
        }
        Filter::Attaching(errno) => {
            vec![(libc::SYS_move_mount, If::Is(2, libc::AT_FDCWD as u32), errno)]
        }
        Filter::Writes(length, errno) => vec![(libc::SYS_write, If::Is(2, length), errno)],
        Filter::Call(call, errno) => vec![always(call, errno)],
        Filter::DeadlyCall(call) => vec![always(call, DEATH)],
        Filter::Unrelated => vec![always(libc::SYS_kexec_load, libc::EPERM)],
    }
}

/// The filter as the kernel runs it. It does not look at the architecture: a test binary
/// makes no calls of another one.
pub(super) fn program(filter: Filter) -> Vec<libc::sock_filter> {
    /// Offset of the number of the call in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |value| statement(libc::BPF_RET | libc::BPF_K, value);
    let mut program = vec![load(NUMBER)];
    for (call, condition, errno) in rules(filter) {
        let refuse = answer(match errno {
            DEATH => libc::SECCOMP_RET_KILL_PROCESS,
            errno => libc::SECCOMP_RET_ERRNO | errno as u32,
        });
        let test = match condition {
            If::Always => Vec::new(),
            If::AnyOf(argument, mask) => {
                vec![load(offset_of(argument)), jump(libc::BPF_JSET, mask, 0, 1)]
            }
            If::Is(argument, value) => {
                vec![load(offset_of(argument)), jump(libc::BPF_JEQ, value, 0, 1)]
            }
            If::IsNot(argument, value) => {
                vec![load(offset_of(argument)), jump(libc::BPF_JEQ, value, 1, 0)]
            }
        };
        let length = test.len() as u8 + 1;
        program.push(jump(libc::BPF_JEQ, call as u32, 0, length));
        program.extend(test);
        program.push(refuse);
        // For the next rule: an argument may have been loaded meanwhile.
        program.push(load(NUMBER));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// Returns the offset of the lower half of an argument in `struct seccomp_data`.
fn offset_of(argument: u32) -> u32 {
    16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 }
}

fn statement(code: u32, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

/// Skips `yes` or `no` instructions.
fn jump(test: u32, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | test | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: yes, jf: no, k: value }
}

/// Puts the calling thread, and what it starts, under the filter, for good.
pub(super) fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    let program = libc::sock_fprog {
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads so many instructions, which live through the call.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    check(result)
}
