//! Tests of the rules of NATs and firewalls with real packets, in networks of their own, which
//! unshare(1) makes.

pub(crate) mod changes;
pub(crate) mod firewalls;
pub(crate) mod forgets;
pub(crate) mod kinds;
pub(crate) mod net;
pub(crate) mod ports;
pub(crate) mod protocols;

#[cfg(test)]
mod tests {
    #[test]
    fn rules_treat_packets_as_planned() {
        let own = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new("unshare");
        command.arg("-Urn").arg(own).args(["--ignored", "--test-threads=4"]);
        let output = command.arg("lab::tests::nat_rules::").output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
        let text = text.concat();
        assert!(output.status.success() && !text.contains("result: ok. 0 passed"), "{text}");
    }
}
