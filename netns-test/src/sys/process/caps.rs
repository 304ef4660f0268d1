//! Capabilities of the calling thread: reads and changes them (capabilities(7)).

use std::io;

use nix::errno::Errno;

/// Set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps(pub(crate) u64);

impl Caps {
    pub(crate) const CHOWN: Self = Self(1 << 0);
    pub(crate) const DAC_OVERRIDE: Self = Self(1 << 1);
    pub(crate) const DAC_READ_SEARCH: Self = Self(1 << 2);
    pub(crate) const FOWNER: Self = Self(1 << 3);
    pub(crate) const FSETID: Self = Self(1 << 4);
    pub(crate) const SETGID: Self = Self(1 << 6);
    pub(crate) const SETUID: Self = Self(1 << 7);
    pub(crate) const NET_BIND_SERVICE: Self = Self(1 << 10);
    pub(crate) const NET_BROADCAST: Self = Self(1 << 11);
    pub(crate) const NET_ADMIN: Self = Self(1 << 12);
    pub(crate) const NET_RAW: Self = Self(1 << 13);
    pub(crate) const SYS_CHROOT: Self = Self(1 << 18);
    pub(crate) const SYS_ADMIN: Self = Self(1 << 21);
    pub(crate) const SETFCAP: Self = Self(1 << 31);

    pub(crate) const NONE: Self = Self(0);

    /// Returns whether this set contains all of `other`.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the union of this set and `other`.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns this set without the capabilities of `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |bit| self.0 & 1 << bit != 0)
    }
}

/// Returns the effective capabilities of this thread.
pub(crate) fn effective() -> io::Result<Caps> {
    Ok(get()?.effective)
}

/// Drops `unwanted` from all sets and from the bounding set, so that programs started later cannot
/// regain them.
pub(crate) fn drop_for_good(unwanted: Caps) -> io::Result<()> {
    let held = get()?;
    for capability in unwanted.numbers() {
        prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0)?;
    }
    set(Sets {
        effective: held.effective.without(unwanted),
        permitted: held.permitted.without(unwanted),
        inheritable: held.inheritable.without(unwanted),
    })
}

/// Passes every permitted capability on to programs that this process starts, also if its user is
/// not root (ambient set).
pub(crate) fn make_ambient() -> io::Result<()> {
    const RAISE: libc::c_ulong = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    let held = get()?;
    set(Sets { inheritable: held.permitted, ..held })?;
    for capability in held.permitted.numbers() {
        prctl(libc::PR_CAP_AMBIENT, RAISE, libc::c_ulong::from(capability))?;
    }
    Ok(())
}

/// Sets whether this thread keeps its permitted capabilities when its uid changes from 0.
pub(crate) fn keep_over_change(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(keep), 0)
}

/// Makes every permitted capability effective.
pub(crate) fn take_up() -> io::Result<()> {
    let held = get()?;
    set(Sets { effective: held.permitted, ..held })
}

/// Clears the ambient and inheritable sets: programs that this process starts have capabilities
/// only if its user is root.
pub(crate) fn clear_ambient() -> io::Result<()> {
    const CLEAR_ALL: libc::c_ulong = libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong;
    prctl(libc::PR_CAP_AMBIENT, CLEAR_ALL, 0)?;
    let held = get()?;
    set(Sets { inheritable: Caps::NONE, ..held })
}

#[derive(Clone, Copy)]
struct Sets {
    effective: Caps,
    permitted: Caps,
    inheritable: Caps,
}

/// Header of the calls (`struct __user_cap_header_struct` of linux/capability.h).
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// Half of the sets, 32 bits of each (`struct __user_cap_data_struct`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Header of version 3 (`_LINUX_CAPABILITY_VERSION_3`) for the calling thread (pid 0).
const HEADER: Header = Header { version: 0x2008_0522, pid: 0 };

fn get() -> io::Result<Sets> {
    let (mut header, mut halves) = (HEADER, [Half::default(); 2]);
    // SAFETY: version 3 reads one header and writes two halves.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    Errno::result(result)?;
    let join = |low: u32, high: u32| Caps(u64::from(low) | u64::from(high) << 32);
    let [low, high] = halves;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

fn set(sets: Sets) -> io::Result<()> {
    let half = |shift: u32| {
        let part = |caps: Caps| (caps.0 >> shift & u64::from(u32::MAX)) as u32;
        Half {
            effective: part(sets.effective),
            permitted: part(sets.permitted),
            inheritable: part(sets.inheritable),
        }
    };
    let (mut header, halves) = (HEADER, [half(0), half(32)]);
    // SAFETY: version 3 reads one header and two halves.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    Errno::result(result)?;
    Ok(())
}

fn prctl(option: i32, first: libc::c_ulong, second: libc::c_ulong) -> io::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: the options used here take numbers and touch no memory.
    let result = unsafe { libc::prctl(option, first, second, none, none) };
    Errno::result(result)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sets() {
        let both = Caps::SETUID.and(Caps::SETGID);
        assert!(both.contains(Caps::SETUID));
        assert!(!both.without(Caps::SETUID).contains(Caps::SETUID));
        assert_eq!(both.numbers().collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn own_sets_can_be_read_and_set_to_what_they_are() {
        let held = get().unwrap();
        set(held).unwrap();
        assert_eq!(effective().unwrap(), held.effective);
    }
}
