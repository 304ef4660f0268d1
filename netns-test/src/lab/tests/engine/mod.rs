//! Tests of the engine with real interfaces, in networks of their own, which unshare(1) makes.

pub(crate) mod inside;
pub(crate) mod net;

#[cfg(test)]
mod tests {
    #[test]
    fn the_engine_passes_frames_of_real_interfaces() {
        let own = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new("unshare");
        command.arg("-Urn").arg(own).args(["--ignored", "--test-threads=1", "--nocapture"]);
        let output = command.arg("lab::tests::engine::inside::").output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned());
        let text = text.concat();
        assert!(output.status.success() && !text.contains("result: ok. 0 passed"), "{text}");
    }
}
