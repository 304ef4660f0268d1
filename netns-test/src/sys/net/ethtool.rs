//! Offloads of interfaces, switched by ioctls (`ethtool -K` of ethtool(8)).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::OnceLock;

use nix::errno::Errno;

use crate::sys::net::ifreq::name_of;

/// `ETHTOOL_GSTRINGS`, `ETHTOOL_GSSET_INFO` and `ETHTOOL_SFEATURES` of linux/ethtool.h.
const STRINGS: u32 = 0x1b;
const SET_INFO: u32 = 0x37;
const SET_FEATURES: u32 = 0x3b;

/// `ETH_SS_FEATURES`: the set of strings that are names of features.
const FEATURES: u32 = 4;

/// `ETH_GSTRING_LEN`
const LENGTH: usize = 32;

/// `SIOCETHTOOL` of linux/sockios.h.
const ETHTOOL: libc::Ioctl = 0x8946;

/// Turns offloads of an interface off, by the names that `ethtool -k` prints. The interface is in
/// the network namespace that `socket` was opened in. The kernel turns those off, too, that need
/// them, and names that it does not know are skipped.
pub(crate) fn turn_off(
    socket: BorrowedFd<'_>,
    interface: &str,
    offloads: &[&str],
) -> io::Result<()> {
    let names = names(socket, interface)?;
    let blocks = names.len().div_ceil(32);
    // Command and number of blocks; of each block, the bits that are meant, and their values.
    let mut request = vec![0_u32; 2 + 2 * blocks];
    (request[0], request[1]) = (SET_FEATURES, blocks as u32);
    let known = offloads.iter().filter_map(|one| names.iter().position(|name| name == one));
    known.for_each(|at| request[2 + 2 * (at / 32)] |= 1 << (at % 32));
    ask(socket, interface, &mut request)
}

/// Returns the names of all features of the kernel, which are the same for all interfaces.
fn names(socket: BorrowedFd<'_>, interface: &str) -> io::Result<&'static [String]> {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    if let Some(known) = NAMES.get() {
        return Ok(known);
    }
    // Command, a reserved word, a mask of sets in two words, and the size of the set.
    let mut size = [SET_INFO, 0, 0, 0, 0];
    let mask = (1_u64 << FEATURES).to_ne_bytes();
    let word = |at: usize| u32::from_ne_bytes([mask[at], mask[at + 1], mask[at + 2], mask[at + 3]]);
    (size[2], size[3]) = (word(0), word(4));
    ask(socket, interface, &mut size)?;
    let count = size[4] as usize;
    let mut strings = vec![0_u32; 3 + count * LENGTH / 4];
    (strings[0], strings[1], strings[2]) = (STRINGS, FEATURES, size[4]);
    ask(socket, interface, &mut strings)?;
    let bytes: Vec<u8> = strings[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let text = |name: &[u8]| {
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        String::from_utf8_lossy(&name[..end]).into_owned()
    };
    Ok(NAMES.get_or_init(|| bytes.chunks(LENGTH).map(text).collect()))
}

/// Sends a request, whose first word is the command. Its length is what the command writes at most.
fn ask(socket: BorrowedFd<'_>, interface: &str, request: &mut [u32]) -> io::Result<()> {
    let union = libc::__c_anonymous_ifr_ifru { ifru_data: request.as_mut_ptr().cast() };
    let mut ifreq = libc::ifreq { ifr_name: name_of(interface), ifr_ifru: union };
    // SAFETY: one `ifreq`, whose data points to words that the command reads and writes; the
    // callers have made them as many as it needs.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), ETHTOOL, &raw mut ifreq) };
    Errno::result(result)?;
    Ok(())
}
