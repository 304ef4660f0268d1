//! The files of a process or thread in `/proc` (proc(5)), as values. Pure.

use crate::sys::text::field;

/// Values of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(super) name: String,
    pub(crate) state: String,
    pub(super) parent: u32,
    /// Processor time in user and kernel mode.
    pub(super) ticks: u64,
    /// Status of wait(2); 0 if the kernel does not report it.
    pub(super) status: i32,
}

/// Parses `/proc/<pid>/stat`. The name may contain anything, so what follows it is counted from its
/// last bracket on.
pub(crate) fn stat(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        state: (*fields.first()?).to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)?.saturating_add(number(12)?),
        status: fields.get(49).and_then(|field| field.parse().ok()).unwrap_or(0),
    })
}

/// Parses `/proc/<pid>/syscall`: number and arguments. Returns none for a thread that runs, or that
/// waits without a system call.
pub(super) fn call(text: &str) -> Option<(u64, Vec<u64>)> {
    let mut fields = text.split_whitespace();
    let number = fields.next()?.parse().ok()?;
    let hex = |field: &str| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok();
    let arguments: Vec<u64> = fields.take(6).map_while(hex).collect();
    (arguments.len() == 6).then_some((number, arguments))
}

/// Parses the inode of a namespace from its link: `net:[4026531840]`.
pub(super) fn inode(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// Parses the arguments of a program from `/proc/<pid>/cmdline`.
pub(super) fn command(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|one| String::from_utf8_lossy(one).into_owned()).collect()
}

/// Parses the limit of open files from `/proc/<pid>/limits`.
pub(super) fn open_files(limits: &str) -> Option<u64> {
    field(limits, "Max open files")?.split_whitespace().next()?.parse().ok()
}

/// Parses the descriptors that an epoll instance watches from its `/proc/<pid>/fdinfo`.
pub(super) fn watched(info: &str) -> Vec<i32> {
    let lines = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Returns whether a process has the word size of this program, by the start of `/proc/<pid>/auxv`:
/// the first pair is a small number and an address.
pub(super) fn is_native(auxv: &[u8]) -> bool {
    let Some(first) = auxv.first_chunk().map(|first| u64::from_ne_bytes(*first)) else {
        return true;
    };
    let is_wide = first <= u64::from(u32::MAX);
    is_wide == cfg!(target_pointer_width = "64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let zeros = " 0".repeat(36);
        let text = format!("7 (a) S 9 (b) Z 1 2 3 4 5 6 7 8 9 10 30 12{zeros} 256\n");
        let expected = Stat {
            name: "a) S 9 (b".to_owned(),
            state: "Z".to_owned(),
            parent: 1,
            ticks: 42,
            status: 256,
        };
        assert_eq!(stat(&text), Some(expected));
        for broken in ["", "7 (a", "7 (a) S", ")(", "7 (a) S x"] {
            assert_eq!(stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_call_has_a_number_and_six_arguments() {
        let text = "288 0x3 0x0 0x0 0x80000 0x0 0x7f 0x7ffc 0x7f00\n";
        assert_eq!(call(text), Some((288, vec![3, 0, 0, 0x80000, 0, 0x7f])));
        for none in ["running\n", "-1 0x7ffc 0x7f00\n", "", "0 0x3"] {
            assert_eq!(call(none), None, "{none}");
        }
    }

    #[test]
    fn arguments_end_with_zero_bytes() {
        assert_eq!(command(b"sh\0-c\0\0"), ["sh", "-c", ""]);
        assert_eq!(command(b"set title"), ["set title"]);
        assert_eq!(command(b""), Vec::<String>::new());
    }

    #[test]
    fn values_are_found_in_their_lines() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files(""), None);
        assert_eq!(inode("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(inode("net:[x]"), None);
        let info = "pos:\t0\ntfd:        5 events:       19 data: 5\ntfd: 7 events: 1\n";
        assert_eq!(watched(info), [5, 7]);
    }

    #[test]
    fn words_of_another_size_are_recognised() {
        let pair = |kind: u64| [kind.to_ne_bytes(), 0x7fff_0000_1000_u64.to_ne_bytes()].concat();
        let narrow = [33_u32.to_ne_bytes(), 0xf7f0_0000_u32.to_ne_bytes()].concat();
        let is_wide = cfg!(target_pointer_width = "64");
        assert_eq!((is_native(&pair(33)), is_native(&narrow)), (is_wide, !is_wide));
        assert!(is_native(&[]));
    }
}
