//! Files that each node has for itself, as a machine has them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use netns_test::lab::NodeId;
use netns_test::{Lab, Topology, netns_test};
use netns_test_tests::{Said as _, is_root, scratch, stdout_of, text};

use super::two_hosts;

const FILES: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/etc/machine-id"];

/// Returns the files that this machine has: nodes have no others.
fn files() -> Vec<&'static str> {
    FILES.into_iter().filter(|path| Path::new(path).exists()).collect()
}

/// Mounts copies over these files of the test. So a fault of the lab cannot lead to the machine's.
fn protect() {
    let place = scratch("own-files");
    for path in files().into_iter().map(Path::new) {
        let content = fs::read(path).unwrap();
        let copy = place.join(path.file_name().unwrap());
        fs::write(&copy, content).unwrap();
        stdout_of("mount", &["--bind", copy.to_str().unwrap(), path.to_str().unwrap()]);
    }
}

/// Returns the content of a file as a program on the node sees it.
fn read(lab: &Lab, node: NodeId, path: &str) -> String {
    // The working directory of the test may be below a private one.
    text(&lab[node].command("cat").arg(path).current_dir("/").output().unwrap())
}

fn write(lab: &Lab, node: NodeId, path: &'static str, content: &'static str) {
    lab[node].run(|| fs::write(path, content)).unwrap();
}

/// Also the files of the test itself, which may be the machine's, stay as they are.
#[netns_test]
fn a_write_is_seen_on_its_node_alone() {
    protect();
    let own = || FILES.map(|path| fs::read(path).ok());
    let before = own();
    let (lab, client, server) = two_hosts();
    for path in files() {
        let (planned, of_test) = (read(&lab, server, path), fs::read(path).ok());
        write(&lab, client, path, "changed\n");
        assert_eq!(read(&lab, client, path), "changed\n", "{path}");
        assert_eq!(read(&lab, server, path), planned, "{path}");
        assert_ne!(planned, "changed\n", "{path}");
        assert_eq!(fs::read(path).ok(), of_test, "{path}");
    }
    assert_eq!(own(), before);
    drop(lab);
    assert_eq!(own(), before);
}

#[netns_test]
fn hostname_and_machine_id_are_those_of_the_node() {
    let (lab, client, server) = two_hosts();
    for (node, name) in [(client, "client\n"), (server, "server\n")] {
        assert_eq!(read(&lab, node, "/etc/hostname"), name);
        assert_eq!(text(&lab[node].command("hostname").output().unwrap()), name);
    }
    if !files().contains(&"/etc/machine-id") {
        return;
    }
    let ids = [client, server].map(|node| read(&lab, node, "/etc/machine-id"));
    for id in &ids {
        // machine-id(5): 32 hexadecimal digits in lower case, and a newline; never all zeros.
        let digits = id.strip_suffix('\n').unwrap();
        assert_eq!(digits.len(), 32, "{id}");
        assert!(digits.bytes().all(|one| one.is_ascii_digit() || (b'a'..=b'f').contains(&one)));
        assert!(digits.bytes().any(|one| one != b'0'), "{id}");
    }
    assert_ne!(ids[0], ids[1]);
    // A second lab, or another run, has the same ones.
    let (again, client, server) = two_hosts();
    assert_eq!([client, server].map(|node| read(&again, node, "/etc/machine-id")), ids);
}

/// A disk keeps them. New names do not replace what was written on the node.
#[netns_test]
fn files_are_kept_over_a_power_cut() -> netns_test::Result<()> {
    protect();
    let mut net = Topology::new();
    let (client, server, router) = (net.host("client"), net.host("server"), net.router("router"));
    net.link(client, router);
    net.link(server, router);
    let mut lab = net.build()?;
    let planned: Vec<String> = files().iter().map(|path| read(&lab, server, path)).collect();
    for path in files() {
        write(&lab, client, path, "192.0.2.1\tkept\n");
    }
    for node in [client, server, client] {
        lab.power_off(node)?;
        lab.power_on(node)?;
    }
    for (path, planned) in files().into_iter().zip(planned) {
        assert_eq!(read(&lab, client, path), "192.0.2.1\tkept\n", "{path}");
        assert_eq!(read(&lab, server, path), planned, "{path}");
    }
    let new = net.host("new");
    net.link(new, router);
    lab.extend(&net)?;
    assert_eq!(read(&lab, client, "/etc/hosts"), "192.0.2.1\tkept\n");
    assert!(read(&lab, server, "/etc/hosts").contains("\tnew\n"));
    lab.power_off(server)?;
    lab.power_on(server)?;
    assert!(read(&lab, server, "/etc/hosts").contains("\tnew\n"));
    assert_eq!(read(&lab, new, "/etc/hostname"), "new\n");
    Ok(())
}

/// The kernel refuses to remove or replace a file that is a mount point (EBUSY), as in a container.
/// What a program does to it nevertheless stays on its node.
#[netns_test]
fn a_program_cannot_remove_the_files_of_others() {
    protect();
    let (lab, client, server) = two_hosts();
    let planned = read(&lab, server, "/etc/hosts");
    let removed = lab[client].run(|| fs::remove_file("/etc/hosts")).unwrap_err();
    // An ordinary user may not write to the directory either.
    let refused = if is_root() { libc::EBUSY } else { libc::EACCES };
    assert_eq!(removed.raw_os_error(), Some(refused));
    // Without the mount, the file below it is that of the test.
    lab[client].run(|| stdout_of("umount", &["-l", "/etc/hosts"]));
    assert_eq!(read(&lab, client, "/etc/hosts"), fs::read_to_string("/etc/hosts").unwrap());
    assert_eq!(read(&lab, server, "/etc/hosts"), planned);
    // The next power-on has a new file, not that of the machine.
    lab.power_off(client).unwrap();
    lab.power_on(client).unwrap();
    assert_eq!(read(&lab, client, "/etc/hosts"), planned);
}

/// `extend` must not write through to the file that an unmount uncovers.
#[netns_test]
fn an_uncovered_file_is_not_written() -> netns_test::Result<()> {
    protect();
    let mut net = Topology::new();
    let (client, router) = (net.host("client"), net.router("router"));
    net.link(client, router);
    let mut lab = net.build()?;
    lab[client].run(|| stdout_of("umount", &["-l", "/etc/hosts"]));
    let machine = fs::read_to_string("/etc/hosts").unwrap();
    let new = net.host("new");
    net.link(new, router);
    lab.extend(&net)?;
    assert_eq!(fs::read_to_string("/etc/hosts").unwrap(), machine);
    assert_eq!(read(&lab, client, "/etc/hosts"), machine);
    assert!(read(&lab, router, "/etc/hosts").contains("\tnew\n"));
    Ok(())
}

/// Without an address, a node resolves its own name nevertheless.
#[netns_test]
fn the_files_are_those_of_the_plan() {
    let mut net = Topology::new();
    let (alone, a, b) = (net.host("alone"), net.host("a"), net.host("b"));
    net.link(a, b);
    let lab = net.build().unwrap();
    for node in [alone, a, b] {
        assert_eq!(read(&lab, node, "/etc/hosts"), lab.plan().hosts_file(node));
    }
    let found = lab[alone].command("getent").args(["hosts", "alone"]).output().unwrap();
    assert!(text(&found).starts_with("127.0.1.1"));
}

/// Two daemons of one path: the socket is that of the node on which a client asks.
#[netns_test]
fn private_directories_are_of_one_node_alone() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| net.host(name));
    net.node(a).private_dir("/run").private_dir("/tmp");
    net.node(b).private_dir("/run").private_dir("/tmp");
    let machine = fs::metadata("/tmp").unwrap().mode();
    let lab = net.build()?;
    for node in [a, b] {
        assert_eq!(lab[node].run(|| fs::read_dir("/tmp").unwrap().count()), 0);
        assert_eq!(lab[node].run(|| fs::metadata("/tmp").unwrap().mode()), machine);
        let socket = lab[node].run(|| UnixListener::bind("/run/daemon.socket")).unwrap();
        let name = lab[node].name().to_owned();
        drop(lab[node].spawn_thread(move || {
            while let Ok((mut client, _)) = socket.accept() {
                drop(client.write_all(name.as_bytes()));
            }
        }));
        lab[node].run(|| fs::write("/tmp/file", lab[node].name())).unwrap();
    }
    for node in [a, b] {
        let name = lab[node].name();
        let heard = lab[node].run(|| {
            let mut text = String::new();
            let mut server = UnixStream::connect("/run/daemon.socket").unwrap();
            server.read_to_string(&mut text).map(|_| text)
        });
        assert_eq!(heard.unwrap(), name);
        assert_eq!(read(&lab, node, "/tmp/file"), name);
    }
    // Neither the test nor a node without them has these files.
    for path in ["/tmp/file", "/run/daemon.socket"].map(Path::new) {
        assert!(!path.exists() && !lab[c].run(|| path.exists()), "{}", path.display());
    }
    // `/run` is empty after a power cut; the other directories are kept.
    lab.power_off(a)?;
    lab.power_on(a)?;
    assert_eq!(read(&lab, a, "/tmp/file"), "a");
    assert_eq!(lab[a].run(|| fs::read_dir("/run").unwrap().count()), 0);
    Ok(())
}

#[netns_test]
fn a_name_that_one_host_alone_knows() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, b, router) = (net.host("a"), net.host("b"), net.router("router"));
    net.link(a, router);
    net.link(b, router);
    net.node(a).hosts_entry([192, 0, 2, 1], "device.example");
    let mut lab = net.build()?;
    let ask = |lab: &Lab, node: NodeId, name: &str| {
        lab[node].command("getent").args(["hosts", name]).output().unwrap()
    };
    assert!(text(&ask(&lab, a, "device.example")).starts_with("192.0.2.1 "));
    assert_eq!(ask(&lab, b, "device.example").status.code(), Some(2));
    // It can be added, but not be taken away or be changed.
    net.node(b).hosts_entry([192, 0, 2, 2], "late.example");
    lab.extend(&net)?;
    assert!(text(&ask(&lab, b, "late.example")).starts_with("192.0.2.2 "));
    assert_eq!(ask(&lab, a, "late.example").status.code(), Some(2));
    net.node(b).private_dir("/tmp");
    let refused = lab.extend(&net).unwrap_err().to_string();
    assert!(refused.contains("extend b: its private directories would change"), "{refused}");
    Ok(())
}

#[netns_test]
fn files_that_a_node_cannot_have_are_named() {
    let mut net = Topology::new();
    let (host, local) = (net.host("host"), net.local());
    net.link(host, local);
    for path in ["tmp", "/", "/etc", "/proc/sys", "/var/../etc", "/tmp", "/tmp/below", "/tmp"] {
        net.node(host).private_dir(path);
    }
    net.node(host).hosts_entry([192, 0, 2, 1], "two words");
    net.node(local).private_dir("/srv");
    let message = net.plan().unwrap_err().to_string();
    for (path, why) in [
        ("tmp", "it is not an absolute path"),
        ("/", "a node needs"),
        ("/etc", "a node needs"),
        ("/proc/sys", "a node needs"),
        ("/var/../etc", "it is not an absolute path"),
        ("/tmp/below", "it is inside another"),
        ("/tmp", "it is inside another"),
        ("/srv", "the caller's own node"),
    ] {
        let expected = format!("private directory `{path}`: {why}");
        assert!(message.contains(&expected), "{expected} is not in {message}");
    }
    assert!(message.contains("hosts entry `two words`: a name has"), "{message}");

    let mut net = Topology::new();
    let host = net.host("host");
    net.node(host).private_dir("/no/such/directory");
    let message = net.build().unwrap_err().said();
    assert!(message.starts_with("open /no/such/directory of host: ENOENT"), "{message}");
    assert!(message.contains("make an empty one"), "{message}");
}
