//! Names of system calls, by the numbers that the kernel has for them on this architecture. Only
//! calls in which a thread can wait are listed.

use libc::c_long;

/// Returns the name of a system call of this architecture.
pub(crate) fn name_of(number: u64) -> Option<&'static str> {
    let number = c_long::try_from(number).ok()?;
    let mut all = COMMON.iter().chain(OLDER);
    let (_, name) = all.find(|(known, _)| *known == number)?;
    name.strip_prefix("SYS_")
}

macro_rules! calls {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name)),)*] };
}

/// Calls of all of them.
#[cfg(any(
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "loongarch64",
    target_arch = "powerpc64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "x86",
    target_arch = "x86_64",
))]
const COMMON: &[(c_long, &str)] = calls! {
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev
    SYS_preadv2 SYS_pwritev2 SYS_close SYS_fsync SYS_fdatasync SYS_ioctl SYS_flock SYS_getdents64
    SYS_openat SYS_splice SYS_tee SYS_vmsplice SYS_copy_file_range
    SYS_accept4 SYS_connect SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg
    SYS_recvmmsg SYS_shutdown SYS_socket SYS_bind SYS_listen SYS_setsockopt
    SYS_ppoll SYS_pselect6 SYS_epoll_pwait SYS_epoll_pwait2 SYS_io_uring_enter SYS_io_getevents
    SYS_futex SYS_futex_waitv SYS_nanosleep SYS_clock_nanosleep SYS_sched_yield SYS_restart_syscall
    SYS_wait4 SYS_waitid SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_clone SYS_execve SYS_exit
    SYS_exit_group SYS_mount SYS_umount2 SYS_setns SYS_unshare
};

#[cfg(not(any(
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "loongarch64",
    target_arch = "powerpc64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "x86",
    target_arch = "x86_64",
)))]
const COMMON: &[(c_long, &str)] = &[];

/// Calls that younger architectures lack.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(c_long, &str)] = calls! {
    SYS_accept SYS_poll SYS_select SYS_pause SYS_epoll_wait SYS_sendfile SYS_open SYS_fork SYS_vfork
};

#[cfg(any(target_arch = "aarch64", target_arch = "loongarch64", target_arch = "riscv64"))]
const OLDER: &[(c_long, &str)] = calls! { SYS_accept SYS_sendfile };

#[cfg(target_arch = "arm")]
const OLDER: &[(c_long, &str)] = calls! {
    SYS_accept SYS_poll SYS__newselect SYS_pause SYS_epoll_wait SYS_sendfile SYS_open
};

#[cfg(target_arch = "powerpc64")]
const OLDER: &[(c_long, &str)] = calls! {
    SYS_accept SYS_poll SYS_select SYS__newselect SYS_pause SYS_epoll_wait SYS_sendfile SYS_open
};

#[cfg(target_arch = "s390x")]
const OLDER: &[(c_long, &str)] = calls! {
    SYS_poll SYS_select SYS_pause SYS_epoll_wait SYS_sendfile SYS_open
};

#[cfg(target_arch = "x86")]
const OLDER: &[(c_long, &str)] = calls! {
    SYS_socketcall SYS_poll SYS_select SYS__newselect SYS_pause SYS_epoll_wait SYS_sendfile SYS_open
};

#[cfg(not(any(
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "loongarch64",
    target_arch = "powerpc64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "x86",
    target_arch = "x86_64",
)))]
const OLDER: &[(c_long, &str)] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_name() {
        let mut numbers: Vec<_> = COMMON.iter().chain(OLDER).map(|one| one.0).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(name_of(libc::SYS_ppoll as u64), Some("ppoll"));
        assert_eq!(name_of(u64::MAX), None);
    }
}
