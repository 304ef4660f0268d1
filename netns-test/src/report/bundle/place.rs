//! The place of a bundle: below cargo's target directory, or where the user wants it.

use std::path::{Path, PathBuf};

use crate::env;
use crate::env::TestRun;
use crate::evidence::ending::Ending;
use crate::report::bundle::names;

/// File by which cargo marks its target directory.
const MARK: &str = "CACHEDIR.TAG";

/// The place of one attempt's bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Directory that is used as it is.
    pub(crate) base: PathBuf,
    /// Whether the base is made.
    pub(crate) is_made: bool,
    /// Directories below it, down to that of the test.
    pub(crate) below: Vec<String>,
    /// Directory of the attempt in that of the test.
    pub(crate) attempt: String,
    /// The test run whose attempts are kept beside each other; none if there is one attempt.
    pub(crate) run: Option<String>,
}

/// Returns the place; none if neither the user nor cargo has said where files may be written.
pub(crate) fn of(ending: &Ending, run: &TestRun) -> Option<Place> {
    let out = env::settings().ok().and_then(|settings| settings.out.clone());
    match out {
        Some(out) => Some(Place::new(out, true, ending, run)),
        None => {
            let own = std::env::current_exe().ok()?;
            Some(Place::new(target_directory(&own)?, false, ending, run))
        }
    }
}

/// Returns the nearest directory above a program that cargo has marked.
fn target_directory(program: &Path) -> Option<PathBuf> {
    let mut above = program.ancestors().skip(1);
    above.find(|path| path.join(MARK).is_file()).map(Path::to_owned)
}

impl Place {
    fn new(base: PathBuf, is_made: bool, ending: &Ending, run: &TestRun) -> Self {
        let own = (!is_made).then(|| "netns-test".to_owned());
        let of_test = [&ending.package, &ending.binary, &ending.test].map(|name| names::safe(name));
        let repetition = run.repetition.map(|number| format!("-stress-{number}"));
        let attempt = format!("attempt-{}{}", run.attempt.max(1), repetition.unwrap_or_default());
        let below = own.into_iter().chain(of_test).collect();
        Self { base, is_made, below, attempt, run: run.nextest.clone() }
    }

    /// Returns the path of the bundle, relative to the workspace if it is in it.
    pub(crate) fn shown(&self, run: &TestRun) -> String {
        let here = std::env::current_dir().ok();
        let workspace = self.base.parent().filter(|_| !self.is_made);
        let is_in = |path: &Path| {
            [&run.manifest, &here].into_iter().flatten().any(|own| own.starts_with(path))
        };
        let base = match workspace.filter(|path| is_in(path)) {
            Some(workspace) => self.base.strip_prefix(workspace).unwrap_or(&self.base),
            None => &self.base,
        };
        let path = self.below.iter().fold(base.to_owned(), |path, name| path.join(name));
        format!("{}/", path.join(&self.attempt).display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending() -> Ending {
        Ending {
            package: "shop".into(),
            binary: "lan".into(),
            test: "a::works".into(),
            ..Ending::default()
        }
    }

    #[test]
    fn a_bundle_is_named_after_package_binary_test_and_attempt() {
        let run = TestRun { attempt: 2, ..TestRun::default() };
        let place = Place::new("/w/target".into(), false, &ending(), &run);
        assert_eq!(place.shown(&run), "/w/target/netns-test/shop/lan/a--works/attempt-2/");
        let run = TestRun { manifest: Some("/w/shop".into()), ..run };
        assert_eq!(place.shown(&run), "target/netns-test/shop/lan/a--works/attempt-2/");
        let run = TestRun { repetition: Some(3), ..TestRun::default() };
        let place = Place::new("/out".into(), true, &ending(), &run);
        assert_eq!(place.shown(&run), "/out/shop/lan/a--works/attempt-1-stress-3/");
    }
}
