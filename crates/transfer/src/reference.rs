//! The reference to be proven against: a docker-registry of this machine, and skopeo to look at it.

use crate::{Credentials, Progress, Registries, RegistriesConfig, Teller};
use naru_oci::Digest;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A docker-registry with a root of its own, ended when the test ends.
pub(crate) struct Reference {
    child: Child,
    pub(crate) address: String,
    pub(crate) dir: tempfile::TempDir,
    secure: bool,
}

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "very:secret";

impl Reference {
    pub(crate) fn start() -> Reference {
        Reference::launch(false)
    }

    /// With a certificate of its own, for users only.
    pub(crate) fn secure() -> Reference {
        Reference::launch(true)
    }

    fn launch(secure: bool) -> Reference {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: 127.0.0.1:0\n",
            at("root")
        );
        if secure {
            let made = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
                .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
                .args(["-keyout", &at("key"), "-out", &at("crt")])
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let users = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().unwrap();
            std::fs::write(dir.path().join("users"), users.stdout).unwrap();
            text += &format!(
                "  tls: {{certificate: {}, key: {}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                at("crt"),
                at("key"),
                at("users")
            );
        }
        std::fs::write(dir.path().join("config.yml"), text).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .env_remove("OTEL_TRACES_EXPORTER")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry is installed");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let rest = line.split_once("listening on ")?.1;
                rest.split(['"', ',']).next()?.rsplit(':').next()?.trim().parse::<u16>().ok()
            })
            .expect("it says where it listens");
        // Whatever more it says is taken off its hands, and ends with it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let host = if secure { "localhost" } else { "127.0.0.1" };
        Reference { child, address: format!("{host}:{port}"), dir, secure }
    }

    /// Registries that trust the certificate.
    pub(crate) fn registries(&self) -> Registries {
        let certificates = self.dir.path().join("certs.d");
        if self.secure {
            let own = certificates.join(&self.address);
            std::fs::create_dir_all(&own).unwrap();
            std::fs::copy(self.dir.path().join("crt"), own.join("ca.crt")).unwrap();
        }
        Registries::new(RegistriesConfig {
            certificates: vec![certificates],
            ..RegistriesConfig::default()
        })
    }

    pub(crate) fn credentials(&self) -> Credentials {
        match self.secure {
            false => Credentials::Anonymous,
            true => Credentials::Basic { user: USER.to_owned(), password: PASSWORD.to_owned() },
        }
    }

    /// The manifest that skopeo sees under a name.
    pub(crate) fn raw(&self, name: &str) -> Vec<u8> {
        skopeo_raw(&format!("docker://{}/{name}", self.address))
    }

    pub(crate) fn digest(&self, name: &str) -> Digest {
        Digest::of(&self.raw(name))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The manifest that skopeo sees at a place.
pub(crate) fn skopeo_raw(place: &str) -> Vec<u8> {
    let done = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false"])
        .args(["--creds", &format!("{USER}:{PASSWORD}")])
        .arg(place)
        .output()
        .unwrap();
    assert!(done.status.success(), "{place}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Whatever is told.
pub(crate) fn listener() -> (Teller, Arc<Mutex<Vec<Progress>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let also = Arc::clone(&told);
    (Arc::new(move |line| also.lock().unwrap().push(line)), told)
}

/// Every status that was told, without repetitions in a row.
pub(crate) fn statuses(told: &Mutex<Vec<Progress>>) -> Vec<String> {
    let mut all: Vec<String> =
        told.lock().unwrap().iter().filter_map(|line| line.status.clone()).collect();
    all.dedup();
    all
}

/// Runs a future on a runtime like the daemon's.
pub(crate) fn block<T>(work: impl Future<Output = T>) -> T {
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(50), work).await })
        .expect("it hangs")
}

/// Unpacks an archive as a layout that skopeo can read.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).unwrap();
    path.display().to_string()
}
