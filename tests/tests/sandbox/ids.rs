//! Who programs are.

use std::fs;
use std::process::Command;

use netns_test::{IdRange, NetNs, Sandbox, SandboxUser, netns_test};
use netns_test_tests::confine::may_map_all;
use netns_test_tests::{again, left_out, missing, passes, scratch, status};

use super::stdout_of;

/// uid, gid and effective capabilities of a program.
fn who(sandbox: &Sandbox) -> (String, String, u64) {
    let script = "id -u; id -g; grep CapEff /proc/self/status | cut -f2";
    let message = stdout_of(sandbox.command("sh").args(["-c", script]));
    let [uid, gid, caps] = message.lines().collect::<Vec<_>>().try_into().unwrap();
    (uid.into(), gid.into(), u64::from_str_radix(caps, 16).unwrap())
}

const NET_ADMIN: u64 = 1 << 12;
const DAC_OVERRIDE: u64 = 1 << 1;

fn own() -> (String, String) {
    let first = |field: &str| status(field).split('\t').next().unwrap().to_owned();
    (first("Uid"), first("Gid"))
}

#[test]
fn a_program_has_the_ids_of_the_caller_by_default() {
    let (uid, gid, caps) = who(&Sandbox::new());
    assert_eq!((uid, gid), own());
    assert_ne!(caps & NET_ADMIN, 0);
    // What permissions mean is not changed by being in a sandbox.
    let outside = u64::from_str_radix(&status("CapEff"), 16).unwrap();
    assert_eq!(caps & DAC_OVERRIDE, outside & DAC_OVERRIDE);
}

#[test]
fn a_program_can_be_root() {
    let (uid, gid, caps) = who(&Sandbox::new().user(SandboxUser::Root));
    assert_eq!((uid.as_str(), gid.as_str()), ("0", "0"));
    assert_ne!(caps & NET_ADMIN, 0);
}

/// The body of an ordinary user cannot change groups.
#[netns_test]
fn a_program_of_a_body_can_be_an_unprivileged_user() {
    let (uid, gid) = if own().0 == "0" { ("33".into(), "44".into()) } else { own() };
    let [id, group] = [&uid, &gid].map(|id: &String| id.parse().unwrap());
    let sandbox = Sandbox::new().user(SandboxUser::Ids { uid: id, gid: group });
    assert_eq!(who(&sandbox), (uid, gid, 0));
}

#[test]
fn a_program_can_be_an_unprivileged_user() {
    let sandbox = Sandbox::new().user(SandboxUser::Ids { uid: 33, gid: 44 });
    let (uid, gid, caps) = who(&sandbox);
    assert_eq!((uid.as_str(), gid.as_str(), caps), ("33", "44", 0));
    assert_eq!(stdout_of(sandbox.command("id").arg("-G")), "44\n");
}

/// The highest number means "leave it as it is" to the kernel.
#[test]
fn no_id_is_no_user() {
    for (uid, gid) in [(u32::MAX, 5), (5, u32::MAX)] {
        let mut command = Sandbox::new().user(SandboxUser::Ids { uid, gid }).command("id");
        let error = command.output().unwrap_err().to_string();
        assert!(error.contains("4294967295 is no id; they are 0 to 4294967294"), "{error}");
    }
}

/// A program of the caller has the caller's rights over a shared network; one of another user has none.
#[netns_test]
fn another_user_has_no_capabilities_in_a_shared_network() {
    let shared = NetNs::new().unwrap();
    let sandbox = Sandbox::new().netns(&shared);
    assert_ne!(who(&sandbox).2 & NET_ADMIN, 0);
    let range = [IdRange { inside: 0, outside: 0, count: 1 }];
    for sandbox in [sandbox.clone().subordinate_ids(), sandbox.clone().id_maps(range, range)] {
        let error = sandbox.command("id").output().unwrap_err().to_string();
        let message = "map ids of a program: a program that shares a network stays";
        assert!(error.starts_with(message), "{error}");
    }
    // The body has ambient capabilities if it is not root, and if it is, more ids than its own.
    let (uid, gid, caps) = if own().0 == "0" {
        who(&sandbox.user(SandboxUser::Ids { uid: 33, gid: 44 }))
    } else {
        let [uid, gid] = [own().0, own().1].map(|id| id.parse().unwrap());
        who(&sandbox.user(SandboxUser::Ids { uid, gid }))
    };
    assert_eq!(caps, 0, "{uid} {gid}");
}

/// With rights, ids are mapped as they are given; without, by newuidmap.
#[test]
fn ranges_of_ids_can_be_given() {
    let what = "ranges_of_ids_can_be_given";
    if !may_map_all() {
        return left_out(what, "only root of the machine may map any id");
    }
    let range = |inside, outside, count| IdRange { inside, outside, count };
    let sandbox = Sandbox::new()
        .id_maps([range(0, 0, 1), range(10, 20, 5)], [range(0, 0, 30)])
        .user(SandboxUser::Ids { uid: 12, gid: 3 });
    let maps = stdout_of(sandbox.command("cat").args(["/proc/self/uid_map", "/proc/self/gid_map"]));
    let maps: Vec<Vec<&str>> = maps.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(maps, [["0", "0", "1"], ["10", "20", "5"], ["0", "0", "30"]]);
    assert_eq!(who(&sandbox), ("12".into(), "3".into(), 0));
    let mut unmapped = sandbox.user(SandboxUser::Ids { uid: 5, gid: 3 }).command("id");
    let error = unmapped.output().unwrap_err().to_string();
    assert_eq!(error, "map uid 5 of a program: it is in none of the ranges");
}

#[test]
fn a_number_of_ranges_that_no_kernel_takes_is_refused() {
    let range = IdRange { inside: 0, outside: 0, count: 1 };
    for ranges in [vec![], vec![range; 341]] {
        let mut command = Sandbox::new().id_maps(ranges.clone(), ranges.clone()).command("id");
        let error = command.output().unwrap_err().to_string();
        let message = format!("map the uids of a program: there are {} ranges", ranges.len());
        assert!(error.starts_with(&message), "{error}");
    }
}

#[test]
fn ranges_that_the_kernel_would_refuse_are_named() {
    let range = |inside, outside, count| IdRange { inside, outside, count };
    let one = [range(0, 0, 1)];
    for (ranges, message) in [
        (vec![range(0, 0, 0)], "map 0 uids from 0, outside 0: a range has at least one id"),
        (vec![range(u32::MAX, 0, 2)], "a range has at least one id, and ends before"),
        (vec![range(0, 0, 2), range(1, 5, 2)], "map 2 uids from 1, outside 5: it overlaps"),
        (vec![range(0, 0, 2), range(7, 1, 1)], "map 1 uids from 7, outside 1: it overlaps"),
    ] {
        let error = Sandbox::new().id_maps(ranges, one).command("id").output().unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// newuidmap has the rights of a file's owner, which it has on the host alone; the files that it
/// reads are this test's, in a mount namespace that goes with it.
#[test]
fn subordinate_ids_are_mapped() {
    let what = "subordinate_ids_are_mapped";
    if !may_map_all() {
        return left_out(what, "only root of the machine can say which ids are whose");
    }
    if !fs::exists("/usr/bin/newuidmap").unwrap() {
        return missing(what, "there is no newuidmap, which ci/setup installs");
    }
    let place = scratch("subuid");
    let file = |name: &str, text: &str| {
        fs::write(place.join(name), text).unwrap();
        place.join(name).display().to_string()
    };
    let name = stdout("id", &["-nu", "65534"]);
    let (ids, none) =
        (file("ids", &format!("{name}:100000:65536\n")), file("none", "somebody:1:1\n"));
    for (test, given) in [("ids::as_a_user_with_ids", &ids), ("ids::as_a_user_without_ids", &none)]
    {
        let script = format!(
            "mount --bind {given} /etc/subuid && mount --bind {given} /etc/subgid &&
             exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\""
        );
        for file in ["/etc/subuid", "/etc/subgid"] {
            assert!(fs::exists(file).unwrap(), "{file} belongs to newuidmap");
        }
        let around = ["unshare", "--mount", "--propagation=private", "sh", "-ec", &script, "sh"];
        passes(&mut again(&around, &["--exact", test]), 1);
    }
    fs::remove_dir_all(place).unwrap();
}

fn stdout(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "run by subordinate_ids_are_mapped"]
fn as_a_user_with_ids() {
    let sandbox = Sandbox::new().subordinate_ids().user(SandboxUser::Root);
    let maps = stdout_of(sandbox.command("cat").arg("/proc/self/uid_map"));
    let maps: Vec<Vec<&str>> = maps.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(maps, [["0", "65534", "1"], ["1", "100000", "65536"]]);
    let script = "touch mine; chown 5:6 mine; stat -c '%u %g' mine";
    let mut command = sandbox.tmpfs("/mnt").command("sh");
    assert_eq!(stdout_of(command.args(["-c", script]).current_dir("/mnt")), "5 6\n");
    let sandbox = Sandbox::new().subordinate_ids();
    let (uid, gid, caps) = who(&sandbox.clone().user(SandboxUser::Caller));
    assert_eq!((uid.as_str(), gid.as_str(), caps & NET_ADMIN), ("65534", "65534", NET_ADMIN));
    let (uid, gid, caps) = who(&sandbox.user(SandboxUser::Ids { uid: 33, gid: 44 }));
    assert_eq!((uid.as_str(), gid.as_str(), caps), ("33", "44", 0));
    // What is not the caller's is refused by newuidmap, whose words are passed on.
    let range = |inside, outside| IdRange { inside, outside, count: 1 };
    let mine = [range(0, 65_534), range(1, 100_000)];
    let sandbox = Sandbox::new().id_maps([range(0, 65_534), range(1, 7)], mine);
    let mut command = sandbox.user(SandboxUser::Root).command("id");
    let error = command.output().unwrap_err().to_string();
    assert!(error.starts_with("newuidmap the program's process: it has failed"), "{error}");
    assert!(error.contains("newuidmap: uid range [1-2) -> [7-8) not allowed"), "{error}");
}

#[test]
#[ignore = "run by subordinate_ids_are_mapped"]
fn as_a_user_without_ids() {
    let error = Sandbox::new().subordinate_ids().command("id").output().unwrap_err().to_string();
    assert!(error.contains("in /etc/subuid: there is no such line"), "{error}");
    assert!(error.contains("fix: usermod --add-subuids"), "{error}");
}
