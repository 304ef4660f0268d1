//! Finds the network namespace of a container by the control groups of its processes.

use std::collections::BTreeMap;
use std::fs;

use crate::error::{Failure, Result};
use crate::netns::NetNs;
use crate::sys::errno;

/// The shortest prefix of an id, in digits. Engines print twelve.
const SHORTEST: usize = 4;

/// The length of a complete id, in hexadecimal digits.
const WHOLE: usize = 64;

impl NetNs {
    /// Opens the namespace of a running container of Docker, Podman, nerdctl or Kubernetes, by its
    /// id or a prefix of at least four hexadecimal digits.
    ///
    /// The container is found by the control groups (version 1 or 2) of the processes in `/proc`:
    /// their paths contain the id. No container engine is involved.
    ///
    /// # Errors
    ///
    /// An invalid id, an id that no control group contains, and a prefix of several ids, which the
    /// error lists; ENOENT without a `/proc`, and those of [`from_pid`](Self::from_pid).
    pub fn from_container(id: &str) -> Result<Self> {
        let is_id = (SHORTEST..=WHOLE).contains(&id.len())
            && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            let reason =
                format!("a container's id has {SHORTEST} to {WHOLE} digits of 0-9 and a-f");
            return Err(Failure::new("find", format!("container {id:?}"), reason).into());
        }
        let found = processes_of(id)?;
        let object = format!("container {id}");
        match found.len() {
            0 => Err(Failure::new("find", object, "no process is in a control group of it")
                .advise("it does not run, or the caller's /proc does not show its processes")
                .into()),
            1 => Self::from_pid(found.into_values().next().expect("there is one")),
            _ => {
                let ids: Vec<_> = found.into_keys().collect();
                let reason = format!("{} containers have such an id", ids.len());
                Err(Failure::new("find", object, reason).advise(ids.join(", ")).into())
            }
        }
    }
}

/// Finds the containers whose id begins with `id`, each with its lowest process id.
fn processes_of(id: &str) -> Result<BTreeMap<String, u32>> {
    let proc = "/proc";
    let entries = fs::read_dir(proc).map_err(|error| errno::failure("read", proc, &error))?;
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut found = BTreeMap::new();
    for pid in pids {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if let Some(whole) = container_in(&groups).filter(|whole| whole.starts_with(id)) {
            found.entry(whole.to_owned()).or_insert(pid);
        }
    }
    Ok(found)
}

/// Finds the id of the innermost container in the text of `/proc/PID/cgroup`, in a component like
/// `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, or `ID`.
fn container_in(groups: &str) -> Option<&str> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut ids = paths.filter_map(|path| path.rsplit('/').find_map(id_in));
    ids.next()
}

fn id_in(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    // Podman's monitor runs in a control group that is named after the container, too.
    let is_monitor = part.contains("conmon");
    let is_id = id.len() == WHOLE && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !is_monitor).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_are_found_in_control_groups_of_both_versions() {
        let groups = [
            "0::/system.slice/docker-ID.scope",
            "0::/machine.slice/libpod-ID.scope/container",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            "12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/",
            "0::/system.slice/nerdctl-ID.scope",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-ID.scope",
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "5:cpu:/kubepods/besteffort/pod1/ID",
            "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
        ];
        for text in groups {
            assert_eq!(container_in(&text.replace("ID", ID)), Some(ID), "{text}");
        }
        for text in ["", "0::/", "0::/user.slice/session-1.scope", "0::/libpod-conmon-ID.scope"] {
            assert_eq!(container_in(&text.replace("ID", ID)), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        let long = "0".repeat(65);
        for id in ["", "abc", "ABCD", "../..", "my-container", &long] {
            let error = NetNs::from_container(id).unwrap_err().to_string();
            assert!(error.contains("a container's id has 4 to 64 digits"), "{error}");
        }
    }
}
