//! TUN devices: interfaces whose packets a program reads and writes, by a descriptor of
//! `/dev/net/tun`.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::error::Failure;
use crate::sys::errno;

/// Device file that creates the interfaces.
pub(crate) const DEVICE: &str = "/dev/net/tun";

/// Creates the interface `name` in the calling thread's network namespace. It exists as long as the
/// returned descriptor is open.
pub(crate) fn create(name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let device = nix::fcntl::open(DEVICE, flags, Mode::empty())
        .map_err(|errno| errno::failure("open", DEVICE, &errno.into()))?;
    let mut request = request(name);
    // SAFETY: the request reads and writes one `ifreq`, which the reference points to.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(result)
        .map_err(|errno| errno::failure("ioctl TUNSETIFF", name, &errno.into()))?;
    Ok(device)
}

/// Returns the request for an interface. A name that is too long for the kernel is truncated.
fn request(name: &str) -> libc::ifreq {
    let mut field = [0; libc::IFNAMSIZ];
    for (to, from) in field[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    libc::ifreq { ifr_name: field, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_where_the_kernel_cuts_them() {
        let name = |text: &str| {
            let field = request(text).ifr_name;
            field.map(|c| c as u8).iter().map(|&byte| char::from(byte)).collect::<String>()
        };
        assert_eq!(name("tun0"), format!("tun0{}", "\0".repeat(12)));
        assert_eq!(name("0123456789abcdefgh"), "0123456789abcde\0");
    }
}
