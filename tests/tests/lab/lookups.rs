//! Lookups of names on hosts: a name that neither `/etc/hosts` nor a name server knows is a final answer,
//! so that clients do not retry, and a name server that a test sets up is asked.

use std::ffi::CString;
use std::fs;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::ptr;

use netns_test::{Node, Topology, netns_test};
use netns_test_tests::text;

use crate::two_hosts;

/// The names that are not in any `/etc/hosts`: one label, several, and one that ends with a dot.
const UNKNOWN: [&str; 4] = ["servr", "no.such.example", "server.example.", "a.b"];

/// The code of `getaddrinfo` for a name: 0 where it is known.
fn lookup(name: &str, family: libc::c_int) -> libc::c_int {
    let name = CString::new(name).unwrap();
    // SAFETY: all fields may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    (hints.ai_family, hints.ai_socktype) = (family, libc::SOCK_STREAM);
    let mut found = ptr::null_mut();
    // SAFETY: the name, the hints and the result live through the call.
    let code =
        unsafe { libc::getaddrinfo(name.as_ptr(), ptr::null(), &raw const hints, &raw mut found) };
    if code == 0 {
        // SAFETY: the call has succeeded, and its result is freed once.
        unsafe { libc::freeaddrinfo(found) };
    }
    code
}

fn unknown_names_are_final(host: &Node) {
    for name in UNKNOWN {
        for family in [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6] {
            let code = host.run(|| lookup(name, family));
            assert_eq!(code, libc::EAI_NONAME, "{name}, family {family}, on {}", host.name());
        }
        let found = host.command("getent").args(["hosts", name]).output().unwrap();
        assert_eq!(found.status.code(), Some(2), "{}", text(&found));
    }
}

#[netns_test]
fn an_unknown_name_is_final_on_every_kind_of_node() -> netns_test::Result<()> {
    let mut net = Topology::new();
    let (a, switch, router, b) =
        (net.host("a"), net.switch("switch"), net.router("router"), net.host("b"));
    net.link(a, switch);
    net.link(switch, router);
    net.link(router, b);
    let mut lab = net.build()?;
    lab.nodes().for_each(unknown_names_are_final);
    lab.power_off(b)?;
    lab.power_on(b)?;
    let late = net.host("late");
    net.link(late, router);
    lab.extend(&net)?;
    for node in [a, b, late] {
        unknown_names_are_final(&lab[node]);
        let known = lab[node].run(|| ("late:80").to_socket_addrs())?;
        assert_eq!(known.count(), 2);
    }
    Ok(())
}

#[netns_test]
fn known_names_are_found_by_the_test_and_by_programs() {
    let (lab, client, _) = two_hosts();
    for name in ["server", "client", "localhost"] {
        assert_eq!(lab[client].run(|| lookup(name, libc::AF_UNSPEC)), 0, "{name}");
        let found = lab[client].command("getent").args(["ahosts", name]).output().unwrap();
        assert!(found.status.success(), "{name}: {}", text(&found));
    }
}

#[netns_test]
fn an_unknown_name_is_final_in_a_test_that_is_a_host() -> netns_test::Result<()> {
    let before = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let mut net = Topology::new();
    let (own, server) = (net.local(), net.host("server"));
    net.link(own, server);
    let first = net.build()?;
    unknown_names_are_final(&first[own]);
    assert_eq!(lookup("servr", libc::AF_UNSPEC), libc::EAI_NONAME);
    // A second lab has it, too, and the first one takes nothing away from it.
    let mut other = Topology::new();
    other.local();
    let other = other.build()?;
    drop(first);
    assert_eq!(lookup("servr", libc::AF_UNSPEC), libc::EAI_NONAME);
    drop(other);
    assert_eq!(fs::read_to_string("/proc/thread-self/mountinfo")?, before);
    Ok(())
}

/// Answers what is asked for `record.test` over IPv4 with 192.0.2.7, and says of all else that there is no
/// such name.
fn answer(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let is_known = query[12..].starts_with(b"\x06record\x04test\0");
    let has_address = is_known && query[end - 4..end] == [0, 1, 0, 1];
    let mut answer = query[..end].to_vec();
    // It is an answer, with recursion, of this code.
    (answer[2], answer[3]) = (0x81, if is_known { 0x80 } else { 0x83 });
    // One question, perhaps one answer, nothing else.
    answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    if has_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    answer
}

/// A test's own `/etc/resolv.conf` of a node is used.
#[netns_test]
fn a_name_server_of_the_lab_is_asked() -> netns_test::Result<()> {
    let (lab, client, server) = two_hosts();
    let socket = lab[server].run(|| UdpSocket::bind("[::]:53"))?;
    // It ends with the test.
    drop(lab[server].spawn_thread(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            drop(socket.send_to(&answer(&query[..length]), from));
        }
    }));
    for address in lab.plan().addresses_of(server) {
        let resolver = format!("nameserver {address}\n");
        lab[client].run(|| fs::write("/etc/resolv.conf", resolver))?;
        let found = lab[client].run(|| ("record.test:80").to_socket_addrs())?;
        let found: Vec<_> = found.map(|one| one.to_string()).collect();
        assert_eq!(found, ["192.0.2.7:80"]);
        unknown_names_are_final(&lab[client]);
    }
    Ok(())
}
