//! Programs in a network that they share.

use std::net::{TcpListener, TcpStream};

use netns_test::{NetNs, Sandbox, SandboxUser, netns_test};

use super::stdout_of;

type Result = netns_test::Result<()>;

#[netns_test]
fn a_program_can_be_in_a_given_network() -> Result {
    let shared = NetNs::new()?;
    shared.loopback_up()?;
    let sandbox = Sandbox::new().netns(&shared).hostname("there");
    let message = stdout_of(sandbox.command("readlink").arg("/proc/self/ns/net"));
    assert_eq!(message.trim(), shared.to_string());
    // It may do there what the body may, under its own `/sys`, and no other process sees it.
    let script = "ip link add br7 type bridge && ls /sys/class/net && echo $$ && hostname";
    assert_eq!(stdout_of(sandbox.command("sh").args(["-c", script])), "br7\nlo\n2\nthere\n");
    let links = shared.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap())?;
    assert!(links.contains("br7:"), "{links}");
    assert!(!std::fs::read_to_string("/proc/net/dev").unwrap().contains("br7:"));
    Ok(())
}

#[netns_test]
fn programs_of_one_network_reach_each_other() -> Result {
    let own = NetNs::current()?;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Bash would do without a program; nothing else speaks TCP that is everywhere.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo hello >&3");
    let child = Sandbox::new().netns(&own).command("bash").args(["-c", &script]).spawn()?;
    let (mut stream, _) = listener.accept().unwrap();
    let mut line = String::new();
    std::io::Read::read_to_string(&mut stream, &mut line).unwrap();
    assert_eq!(line, "hello\n");
    assert!(child.wait_with_output().unwrap().status.success());
    // A network of its own has no other process.
    let mut alone = Sandbox::new().command("bash");
    assert!(!alone.args(["-c", &script]).output()?.status.success());
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    Ok(())
}

#[netns_test]
fn a_shared_network_does_not_make_root() -> Result {
    let shared = NetNs::new()?;
    let mut command = Sandbox::new().netns(&shared).user(SandboxUser::Root).command("id");
    if netns_test_tests::is_root() {
        assert_eq!(stdout_of(command.arg("-u")), "0\n");
    } else {
        let error = command.output().unwrap_err().to_string();
        let message =
            "make the program root without a user namespace of its own: the caller is uid";
        assert!(error.starts_with(message), "{error}");
    }
    Ok(())
}
