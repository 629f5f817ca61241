//! Packages of Python that are no Debian packages, in environments below the target directory. Acts.

use crate::run::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a test needs of the Python package index.
#[derive(Debug)]
pub struct Environment<'a> {
    /// Its name below the directory.
    pub name: &'a str,
    /// Packages that are installed, with their versions.
    pub packages: &'a [&'a str],
    /// What an interpreter can do that has them.
    pub probe: &'a str,
    /// A package of whose sources something is unpacked below `sources`, and what: tests are often nowhere else.
    pub source: Option<(&'a str, &'a str)>,
    /// What may name an interpreter instead, where `pip` reaches nothing.
    pub variable: &'a str,
}

impl Environment<'_> {
    /// The environment's place; made on first use, while other tests wait for it.
    #[track_caller]
    pub fn place(&self, all: &Path) -> PathBuf {
        let place = all.join(self.name);
        std::fs::create_dir_all(all).expect("a directory");
        let lock = std::fs::File::options()
            .create(true)
            .append(true)
            .open(all.join(format!("{}.lock", self.name)))
            .expect("a lock file");
        lock.lock().expect("a lock");
        if !self.works(&place) {
            self.make(&place);
        }
        place
    }

    fn works(&self, place: &Path) -> bool {
        let python = interpreter(place);
        // Sources are unpacked last.
        (self.source.is_none() || place.join("sources").exists())
            && python.exists()
            && run(Command::new(&python).args(["-c", self.probe])).code == 0
    }

    #[track_caller]
    fn make(&self, place: &Path) {
        // Debian's own interpreter has Debian's package python3-venv.
        let mut venv = Command::new("/usr/bin/python3");
        run(venv.args(["-m", "venv", "--clear"]).arg(place)).ok();
        self.pip(place, &["install"], self.packages);
        let Some((package, member)) = self.source else { return };
        let partial = place.join("fetched");
        let to = partial.to_str().expect("a path");
        let name = package.split("==").next().expect("a name");
        self.pip(place, &["download", "--no-deps", "--no-binary", name, "-d", to], &[package]);
        for archive in std::fs::read_dir(&partial).expect("what was fetched") {
            let archive = archive.expect("an archive").path();
            let mut tar = Command::new("tar");
            run(tar.arg("-C").arg(&partial).arg("-xf").arg(archive).arg(member)).ok();
        }
        std::fs::rename(&partial, place.join("sources")).expect("the sources in their place");
    }

    #[track_caller]
    fn pip(&self, place: &Path, words: &[&str], packages: &[&str]) {
        let mut pip = Command::new(interpreter(place));
        let done = run(pip.args(["-m", "pip", "-q"]).args(words).args(packages));
        assert!(
            done.code == 0,
            "pip cannot bring {packages:?}; {} may name an interpreter that has them: {done:?}",
            self.variable
        );
    }
}

/// The interpreter of an environment.
pub fn interpreter(place: &Path) -> PathBuf {
    place.join("bin/python3")
}
