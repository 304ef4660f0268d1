//! The directories in which a program on a host is looked for. The `PATH` of an ordinary user has none of
//! those with `ip`, `nft` and daemons, which such a user may run on a host.

use std::ffi::{OsStr, OsString};

const OF_ADMINISTRATOR: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The same path with the directories of the administrator after it; none if it has them, or if there
/// is no path.
pub(crate) fn with_sbin(path: Option<&OsStr>) -> Option<OsString> {
    let path = path?;
    let there: Vec<_> = std::env::split_paths(path).collect();
    let is_missing = |one: &&str| there.iter().all(|own| own.as_os_str() != OsStr::new(one));
    let missing: Vec<&str> = OF_ADMINISTRATOR.into_iter().filter(|one| is_missing(one)).collect();
    if missing.is_empty() {
        return None;
    }
    let mut all = path.to_owned();
    for one in missing {
        // An empty path would be the working directory.
        if !all.is_empty() {
            all.push(":");
        }
        all.push(one);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_last() {
        let with =
            |path: &str| with_sbin(Some(OsStr::new(path))).map(|all| all.into_string().unwrap());
        assert_eq!(with("/bin").as_deref(), Some("/bin:/usr/local/sbin:/usr/sbin:/sbin"));
        assert_eq!(with("/sbin:/bin").as_deref(), Some("/sbin:/bin:/usr/local/sbin:/usr/sbin"));
        assert_eq!(with("/usr/local/sbin:/sbin:/usr/sbin"), None);
        assert_eq!(with("").as_deref(), Some("/usr/local/sbin:/usr/sbin:/sbin"));
        assert_eq!(with_sbin(None), None);
    }
}
