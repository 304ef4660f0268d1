//! Containers: real processes in real control groups with names as engines give them. Root makes
//! the groups, and so does a user to whom a part of the tree was delegated, as systemd does it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use netns_test::NetNs;
use netns_test_tests::confine::{Confinement, ControlGroup, Version, Who};
use netns_test_tests::{is_root, missing};

type Result = netns_test::Result<()>;

/// A process in a network namespace of its own, in the control group of a container.
pub(crate) struct Container {
    pub(crate) id: String,
    process: Child,
    _group: ControlGroup,
}

impl Container {
    /// Namespace of the container, by the process's own number.
    pub(crate) fn netns(&self) -> NetNs {
        NetNs::from_pid(self.process.id()).unwrap()
    }

    fn start(id: String, group: ControlGroup) -> std::io::Result<Self> {
        let mut command = Command::new("unshare");
        // It waits for its input, which ends with this process at the latest.
        let script = "echo && read -r end";
        command.args(if is_root() { &["-n"][..] } else { &["-r", "-n"] });
        command.args(["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let who = if is_root() { Who::Root } else { Who::User };
        Confinement::of(who).member_of(&group).apply(&mut command);
        let mut container = Self { id, process: command.spawn()?, _group: group };
        container.process.stdout.as_mut().unwrap().read_exact(&mut [0])?;
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The group goes after it, as fields do.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Calls `test` with `count` containers whose ids have forty digits in common, for each version
/// of control groups in which they can be made.
pub(crate) fn each(name: &str, count: usize, test: impl Fn(&[Container]) -> Result) -> Result {
    let mut reasons = Vec::new();
    for version in [Version::One, Version::Two] {
        let containers = (0..count).map(|number| {
            let id = id(name, version, number);
            let group = ControlGroup::named(&format!("docker-{id}.scope"), version)?;
            Container::start(id, group)
        });
        match containers.collect::<std::io::Result<Vec<_>>>() {
            Ok(containers) => test(&containers)?,
            Err(error) => reasons.push(format!("version {version:?}: {error}")),
        }
    }
    if reasons.len() == 2 {
        missing(name, &format!("no control groups can be made ({})", reasons.join("; ")));
    }
    Ok(())
}

/// Returns a unique name, from the number of this process and the purpose.
fn id(name: &str, version: Version, number: usize) -> String {
    let of = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let start = format!("{:08x}{of:08x}{}", std::process::id(), version as u8);
    let end = char::from_digit(number.try_into().unwrap(), 16).unwrap();
    format!("{start:a<40}{}", String::from(end).repeat(24))
}

#[test]
fn a_container_is_found_by_its_id() -> Result {
    each("a_container_is_found_by_its_id", 2, |containers| {
        let own = NetNs::current()?;
        for container in containers {
            let netns = NetNs::from_container(&container.id)?;
            assert_eq!(netns, container.netns());
            assert_eq!(NetNs::from_container(&container.id[..41])?, netns);
            assert_ne!(netns, own);
        }
        assert_ne!(containers[0].netns(), containers[1].netns());
        Ok(())
    })
}

#[test]
fn an_id_that_fits_two_containers_is_an_error_that_lists_them() -> Result {
    each("an_id_that_fits_two_containers_is_an_error_that_lists_them", 2, |containers| {
        let (first, second) = (&containers[0].id, &containers[1].id);
        for length in [12, 40] {
            let start = &first[..length];
            let error = NetNs::from_container(start).unwrap_err().to_string();
            let expected = format!("find container {start}: 2 containers have such an id");
            assert!(error.contains(&expected), "{error}");
            assert!(error.contains(&format!("{first}, {second}")), "{error}");
        }
        Ok(())
    })
}

#[test]
fn a_container_that_has_ended_is_unknown() -> Result {
    let ended = std::cell::RefCell::new(Vec::new());
    each("a_container_that_has_ended_is_unknown", 1, |containers| {
        let running = &containers[0].id;
        NetNs::from_container(running)?;
        ended.borrow_mut().push(running.clone());
        let unknown = format!("{}{}", &running[..40], "f".repeat(24));
        let error = NetNs::from_container(&unknown).unwrap_err().to_string();
        assert!(error.contains(&format!("find container {unknown}: no process is in")), "{error}");
        Ok(())
    })?;
    for id in ended.into_inner() {
        let error = NetNs::from_container(&id).unwrap_err().to_string();
        assert!(error.contains("it does not run"), "{error}");
    }
    Ok(())
}
