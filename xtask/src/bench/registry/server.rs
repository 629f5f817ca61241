//! The registries that are measured, each on a root of its own on the same disk. Acts.

use crate::bench::{memory, report};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A registry that runs until this value is dropped.
#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    pub address: String,
    child: Child,
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Server {
    /// Our own binary.
    pub fn ours(binary: &Path, dir: &Path) -> Result<Server, String> {
        let address = free()?;
        let mut command = Command::new(binary);
        command.args(["registry", "serve", "--log-level", "error", "--listen", &address]);
        command.arg("--root").arg(dir.join("naru"));
        Server::start("naru", command, address, dir)
    }

    /// Debian's docker-registry on its filesystem storage.
    pub fn docker(dir: &Path, address: Option<&str>) -> Result<Server, String> {
        let address = address.map_or_else(free, |address| Ok(address.to_owned()))?;
        let file = dir.join("registry.yml");
        report::write(
            &file,
            &format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  cache: {{blobdescriptor: inmemory}}\n  filesystem: {{rootdirectory: {}/docker-registry}}\nhttp:\n  addr: {address}\n",
                dir.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        Server::start("docker-registry", command, address, dir)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        address: String,
        dir: &Path,
    ) -> Result<Server, String> {
        let log = std::fs::File::create(dir.join(format!("{name}.log")))
            .map_err(|error| error.to_string())?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&address).is_err() {
            if Instant::now() > end || child.try_wait().is_ok_and(|done| done.is_some()) {
                child.kill().ok();
                child.wait().ok();
                let log = std::fs::read_to_string(dir.join(format!("{name}.log")));
                return Err(format!("{name} does not answer: {}", log.unwrap_or_default()));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (pid, to, stop) = (child.id(), Arc::clone(&peak), Arc::clone(&ended));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                to.fetch_max(memory::pss_kib(pid), Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(100));
            }
        });
        Ok(Server { name, address, child, peak, ended })
    }

    /// The most memory it had so far (PSS), in KiB, and what it had before is forgotten.
    pub fn take_peak(&self) -> u64 {
        self.peak.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An address that nobody listens on.
fn free() -> Result<String, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.to_string())
        .map_err(|error| error.to_string())
}
