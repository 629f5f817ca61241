//! A daemon and our registry on a network of their own, and an image that is worth breaking off. Acts: as root.

use crate::random::Random;
use integration_tests::image::append;
use integration_tests::{Daemon, Done, binary, run, run_with_input, until};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where the registry listens.
pub const REGISTRY: &str = "127.0.0.1:5000";
/// Where the proxy before it does.
pub const PROXY: &str = "127.0.0.1:5001";
const LAYERS: usize = 8;
/// A layer's file, in bytes; all of them are more than 35 MB.
const FILE: usize = 4_500_000;
const READY: Duration = Duration::from_secs(30);

/// The scene.
pub struct Place {
    pub daemon: Daemon,
    root: PathBuf,
    registry: Option<Child>,
    /// Bytes of the image's layers.
    pub bytes: u64,
    /// The manifest's digest, once it was pushed.
    pub digest: String,
}

impl Place {
    /// The image is here as `made`, the registry is empty.
    #[track_caller]
    pub fn new(random: &mut Random) -> Place {
        let daemon = Daemon::start_apart(&["--max-download-attempts", "12"]);
        let root = daemon.dir().join("registry");
        let (archive, bytes) = archive(random);
        run_with_input(&mut daemon.command(&["load", "-q"]), &archive).ok();
        let mut place = Place { daemon, root, registry: None, bytes, digest: String::new() };
        place.start_registry();
        place
    }

    /// Starts the registry (again) and waits until it answers.
    #[track_caller]
    pub fn start_registry(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.daemon.dir().join("registry.log"))
            .expect("a log");
        let child = self
            .daemon
            .neighbour(binary().to_str().expect("a path"))
            .args(["registry", "serve", "--listen", REGISTRY, "--root"])
            .arg(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the built binary");
        self.registry = Some(child);
        let target: SocketAddr = REGISTRY.parse().expect("an address");
        let ready = self.daemon.nearby(|| until(READY, || TcpStream::connect(target).ok()));
        assert!(ready.is_some(), "the registry does not answer:\n{}", self.registry_log());
    }

    /// SIGKILLs the registry.
    pub fn kill_registry(&mut self) {
        if let Some(mut child) = self.registry.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    pub fn registry_log(&self) -> String {
        std::fs::read_to_string(self.daemon.dir().join("registry.log")).unwrap_or_default()
    }

    /// Pushes the image where no proxy is, and forgets it here.
    #[track_caller]
    pub fn put_at_registry(&mut self) {
        let name = format!("{REGISTRY}/team/x:1");
        self.daemon.naru(&["tag", "made", &name]).ok();
        let done = self.daemon.naru(&["push", &name]).ok();
        self.digest = pushed_digest(&done);
        self.daemon.naru(&["image", "prune", "-a", "-f"]).ok();
        assert_eq!(self.daemon.naru(&["images", "-aq"]).ok().text(), "");
    }

    /// The image that came has the digest of the one that was pushed, and every file of it is whole.
    #[track_caller]
    pub fn check_pulled(&self, name: &str) {
        let format = "{{join .RepoDigests \" \"}} {{len .RootFS.Layers}}";
        let shown = self.daemon.naru(&["image", "inspect", "--format", format, name]).ok();
        assert!(shown.text().contains(&self.digest), "{}", shown.text());
        assert!(shown.text().ends_with(&format!(" {LAYERS}")), "{}", shown.text());
        self.check_store();
    }

    /// Nothing of the daemon's store is wrong, and nothing is left of transfers.
    #[track_caller]
    pub fn check_store(&self) {
        let done = self.daemon.naru(&["system", "verify"]).ok();
        assert!(done.text().ends_with("no problems found"), "{}", done.text());
        let left = parts(&self.daemon.data_root());
        assert!(left.is_empty(), "left of transfers: {left:?}");
    }

    /// The registry has the image as it was sent: seen by skopeo, and by a daemon that looks at the registry's own root. Says
    /// which uploads are open there.
    #[track_caller]
    pub fn check_registry(mut self, name: &str, pushed: &Done) -> Vec<(String, u64)> {
        let digest = pushed_digest(pushed);
        let mut skopeo = self.daemon.neighbour("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format"]);
        skopeo.args(["{{.Digest}} {{len .Layers}}", &format!("docker://{name}")]);
        assert_eq!(run(&mut skopeo).ok().text(), format!("{digest} {LAYERS}"));
        self.kill_registry();
        let open = parts(&self.root);
        // Only one store may be looked at by a daemon; the daemon's own makes room for the registry's.
        self.daemon.terminate();
        let data = self.daemon.data_root();
        std::fs::rename(&data, self.daemon.dir().join("data.before")).expect("a directory");
        std::fs::rename(&self.root, &data).expect("a directory");
        self.daemon.launch();
        let done = self.daemon.naru(&["system", "verify"]).ok();
        assert!(done.text().ends_with("no problems found"), "{}", done.text());
        open
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill_registry();
        if std::thread::panicking() {
            eprintln!("--- registry ---\n{}", self.registry_log());
        }
    }
}

/// The digest that a push says at its end.
#[track_caller]
fn pushed_digest(done: &Done) -> String {
    let line = done.stdout.lines().find(|line| line.starts_with("1: digest: "));
    let digest = line.and_then(|line| line.split_whitespace().nth(2));
    digest.unwrap_or_else(|| panic!("no digest in {}", done.stdout)).to_owned()
}

/// What a store has of blobs that are not whole, with their sizes.
pub fn parts(root: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(root.join("content/ingests")).into_iter().flatten().flatten();
    let size = |entry: &std::fs::DirEntry| entry.metadata().map_or(0, |file| file.len());
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), size(&entry))).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let done = run_with_input(&mut Command::new("sha256sum"), bytes).ok();
    done.text().split_whitespace().next().expect("a digest").to_owned()
}

/// An archive of docker's form with an image `made` of layers that do not compress, and how many bytes they are.
pub fn archive(random: &mut Random) -> (Vec<u8>, u64) {
    let mut tar = tar::Builder::new(Vec::new());
    let (mut names, mut digests, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in 0..LAYERS {
        let mut layer = tar::Builder::new(Vec::new());
        let content = random.bytes(FILE + number * 1000);
        append(&mut layer, &format!("file{number}"), tar::EntryType::Regular, 0o644, &content);
        let layer = layer.into_inner().expect("a tar in memory");
        let name = format!("layer{number}.tar");
        digests.push(format!("sha256:{}", sha256(&layer)));
        bytes += layer.len() as u64;
        append(&mut tar, &name, tar::EntryType::Regular, 0o644, &layer);
        names.push(name);
    }
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    append(&mut tar, "c.json", tar::EntryType::Regular, 0o644, config.to_string().as_bytes());
    let manifest =
        serde_json::json!([{"Config": "c.json", "RepoTags": ["made:latest"], "Layers": names}]);
    append(
        &mut tar,
        "manifest.json",
        tar::EntryType::Regular,
        0o644,
        manifest.to_string().as_bytes(),
    );
    (tar.into_inner().expect("a tar in memory"), bytes)
}
