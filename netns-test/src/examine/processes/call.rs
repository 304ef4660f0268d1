//! The descriptors that a system call is about. Pure.

/// Descriptors of a system call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    Descriptors(Vec<i32>),
    /// The descriptors that this epoll instance watches.
    Epoll(i32),
    /// A list of `pollfd` at this address, with this number of them.
    Poll(u64, u64),
    /// Up to three sets of descriptors below this number.
    Select(u64, [u64; 3]),
}

/// Returns what a call of this name with these six arguments is about.
pub(super) fn about(name: &str, arguments: &[u64]) -> About {
    let &[first, second, third, fourth, ..] = arguments else { return About::Descriptors(vec![]) };
    let these = |numbers: &[u64]| {
        // The upper half of the register is not part of an `int`.
        About::Descriptors(numbers.iter().map(|number| *number as u32 as i32).collect())
    };
    match name {
        "read" | "write" | "readv" | "writev" | "pread64" | "pwrite64" | "preadv" | "pwritev"
        | "preadv2" | "pwritev2" | "close" | "fsync" | "fdatasync" | "ioctl" | "flock"
        | "getdents64" | "vmsplice" | "accept" | "accept4" | "connect" | "sendto" | "recvfrom"
        | "sendmsg" | "recvmsg" | "sendmmsg" | "recvmmsg" | "shutdown" | "bind" | "listen"
        | "setsockopt" | "io_uring_enter" | "setns" => these(&[first]),
        "tee" | "sendfile" => these(&[first, second]),
        "splice" | "copy_file_range" => these(&[first, third]),
        // `P_PIDFD`
        "waitid" if first == 3 => these(&[second]),
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => About::Epoll(first as u32 as i32),
        "poll" | "ppoll" => About::Poll(first, second),
        "select" | "_newselect" | "pselect6" => About::Select(first, [second, third, fourth]),
        _ => these(&[]),
    }
}

/// Parses a list of `pollfd`.
pub(super) fn polled(bytes: &[u8]) -> Vec<i32> {
    let all = bytes.chunks_exact(8).filter_map(|one| one.first_chunk());
    all.map(|number| i32::from_ne_bytes(*number)).filter(|number| *number >= 0).collect()
}

/// Parses a set of descriptors: words of 64 bits, as the kernel of a 64-bit machine has them.
pub(super) fn selected(bytes: &[u8]) -> Vec<i32> {
    let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk());
    let words = words.map(|word| u64::from_ne_bytes(*word)).enumerate();
    let bits = |(at, word): (usize, u64)| {
        let set = (0..64).filter(move |bit| word & 1 << bit != 0);
        set.map(move |bit| (64 * at + bit) as i32)
    };
    words.flat_map(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_name_their_descriptors() {
        let of = |name| about(name, &[3, 4, 5, 6, 7, 8]);
        assert_eq!(of("accept4"), About::Descriptors(vec![3]));
        assert_eq!(of("splice"), About::Descriptors(vec![3, 5]));
        assert_eq!(of("waitid"), About::Descriptors(vec![4]));
        assert_eq!(of("futex"), About::Descriptors(vec![]));
        assert_eq!(of("epoll_wait"), About::Epoll(3));
        assert_eq!(of("ppoll"), About::Poll(3, 4));
        assert_eq!(of("pselect6"), About::Select(3, [4, 5, 6]));
        assert_eq!(about("read", &[0xffff_ffff_0000_0005, 0, 0, 0]), About::Descriptors(vec![5]));
        assert_eq!(about("read", &[]), About::Descriptors(vec![]));
    }

    #[test]
    fn lists_in_memory_are_parsed() {
        let one = |number: i32| [&number.to_ne_bytes()[..], &[1, 0, 0, 0]].concat();
        assert_eq!(polled(&[one(7), one(-1), one(9), vec![1]].concat()), [7, 9]);
        let words = [0b1001_u64.to_ne_bytes(), 1_u64.to_ne_bytes()].concat();
        assert_eq!(selected(&words), [0, 3, 64]);
    }
}
