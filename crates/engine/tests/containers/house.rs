//! A data root of its own with an engine and a tiny image, and the questions that tests ask.

use naru_engine::images::{Registries, RegistriesConfig};
use naru_engine::{
    AttachOptions, Attachment, ContainerConfig, CreateRequest, Engine, EngineConfig, HostConfig,
    LogOptions, NetworkOptions, RemoveOptions, StreamKind, WaitCondition, WaitOutcome,
};
use naru_errdefs::Fault;
use naru_store::Store;
use naru_test_support::{Item, TinyImage};
use std::future::Future;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The longest that anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data root with an engine.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) engine: Option<Engine>,
}

/// Runs a test with a house of its own.
pub(crate) fn with<F: Future<Output = House>>(test: impl FnOnce(House) -> F) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let house = House::open().await;
        let house =
            tokio::time::timeout(PATIENCE * 2, test(house)).await.expect("it took too long");
        house.leave().await;
    });
}

/// The result of something that must not take long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// How the engine of a role `… DATA EXEC …` is set up.
pub(crate) fn config_of(arguments: &mut impl Iterator<Item = std::ffi::OsString>) -> EngineConfig {
    let mut path = || PathBuf::from(arguments.next().unwrap());
    let data_root = path();
    config(data_root, path())
}

fn config(data_root: PathBuf, exec_root: PathBuf) -> EngineConfig {
    EngineConfig {
        data_root,
        networks: NetworkOptions::for_exec_root(&exec_root),
        exec_root,
        exe: std::env::current_exe().unwrap(),
        debug: false,
        registries: Registries::new(RegistriesConfig::default()),
    }
}

impl House {
    async fn open() -> House {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        tokio::task::spawn_blocking(move || {
            let store = Store::open(&data).unwrap();
            load(&store);
        })
        .await
        .unwrap();
        let mut house = House { dir, engine: None };
        house.start_daemon().await;
        house
    }

    pub(crate) fn config(&self) -> EngineConfig {
        config(self.dir.path().join("data"), self.dir.path().join("run"))
    }

    /// Opens the engine, as a daemon does when it starts.
    pub(crate) async fn start_daemon(&mut self) {
        self.engine = Some(Engine::open(self.config()).await.unwrap());
    }

    /// Drops the engine, as if the daemon had ended. The monitor and its containers go on.
    pub(crate) async fn end_daemon(&mut self) {
        let store_lock = self.dir.path().join("data/lock");
        self.engine = None;
        // The last threads of the old engine let go of the store a moment later.
        let free = tokio::task::spawn_blocking(move || {
            while naru_kernel::fs::Lock::acquire(&store_lock).is_err() {
                std::thread::yield_now();
            }
        });
        soon("the store to be free", free).await.unwrap();
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// Removes every container, ends the monitor, and looks for leftovers.
    async fn leave(mut self) {
        if self.engine.is_none() {
            self.start_daemon().await;
        }
        let containers = self.engine().containers.clone();
        let all = naru_engine::ListFilter { all: true, ..Default::default() };
        let rows = containers.list(&all).await.unwrap();
        for row in &rows {
            let options = RemoveOptions { force: true, volumes: true };
            match containers.remove(&row.id, options).await {
                Err(fault) if fault.kind() != naru_errdefs::Kind::NotFound => panic!("{fault:?}"),
                _ => {}
            }
        }
        drop(containers);
        self.engine().closing().close();
        self.end_daemon().await;
        for root in ["data/containers", "run/containers"] {
            let left: Vec<_> = std::fs::read_dir(self.dir.path().join(root))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert!(left.is_empty(), "{root}: {left:?}");
        }
        for row in &rows {
            for hierarchy in ["memory", "pids", "devices", "unified", "."] {
                let cgroup =
                    PathBuf::from("/sys/fs/cgroup").join(hierarchy).join("naru").join(&row.id);
                assert!(!cgroup.exists(), "{}", cgroup.display());
            }
        }
    }

    /// Makes a container of the tiny image with a shell command.
    pub(crate) async fn create(&self, script: &str, host: HostConfig) -> String {
        self.create_with(sh(script), host).await.unwrap()
    }

    pub(crate) async fn create_with(
        &self,
        config: ContainerConfig,
        host: HostConfig,
    ) -> Result<String, Fault> {
        let host = HostConfig {
            network_mode: if host.network_mode.is_empty() {
                "none".into()
            } else {
                host.network_mode.clone()
            },
            ..host
        };
        let request = CreateRequest { name: None, config, host, ..CreateRequest::default() };
        Ok(self.engine().containers.create(request).await?.id)
    }

    pub(crate) async fn start(&self, id: &str) {
        soon("the start", self.engine().containers.start(id)).await.unwrap();
    }

    pub(crate) async fn wait(&self, id: &str) -> WaitOutcome {
        let wait = self.engine().containers.wait(id, WaitCondition::NotRunning).unwrap();
        soon("the exit", wait).await
    }

    /// Creates, starts and waits; the exit code and what it wrote.
    pub(crate) async fn run(&self, script: &str, host: HostConfig) -> (i64, String) {
        let id = self.create(script, host).await;
        self.start(&id).await;
        let outcome = self.wait(&id).await;
        (outcome.code, self.logs(&id).await)
    }

    /// What it wrote on both streams.
    pub(crate) async fn logs(&self, id: &str) -> String {
        let options = LogOptions { stdout: true, stderr: true, ..LogOptions::default() };
        let mut logs = self.engine().containers.logs(id, options).await.unwrap();
        let mut text = String::new();
        while let Some(record) = soon("the log", logs.next()).await {
            text.push_str(&String::from_utf8_lossy(&record.unwrap().bytes));
        }
        text
    }

    pub(crate) async fn attach(&self, id: &str, stdin: bool) -> Attachment {
        let options =
            AttachOptions { stdin, stdout: true, stderr: true, logs: false, stream: true };
        self.engine().containers.attach(id, options).await.unwrap()
    }

    /// Waits until the file has appeared in the container's writable layer.
    pub(crate) async fn appears(&self, id: &str, path: &str) -> PathBuf {
        let view = self.engine().containers.inspect(id, false).await.unwrap();
        let path = view.upper_dir.join(path);
        let wait = async {
            while !path.exists() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        soon("a file", wait).await;
        path
    }
}

/// Everything on both streams, until their end.
pub(crate) async fn drain(attachment: &mut Attachment) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some((stream, bytes)) = soon("output", attachment.output.next()).await {
        match stream {
            StreamKind::Stdout => out.extend_from_slice(&bytes),
            StreamKind::Stderr => err.extend_from_slice(&bytes),
        }
    }
    (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
}

/// A config that runs a shell command.
pub(crate) fn sh(script: &str) -> ContainerConfig {
    ContainerConfig {
        image: "tiny:1".into(),
        cmd: Some(vec!["sh".into(), "-c".into(), script.into()]),
        ..ContainerConfig::default()
    }
}

fn load(store: &Store) {
    let busybox = std::fs::read("/bin/busybox").expect("this test needs a static busybox");
    let mut items = vec![
        Item::dir("bin/"),
        Item::file("bin/busybox", &busybox).mode(0o755),
        Item::file("bin/text", "no program").mode(0o644),
        Item::dir("etc/"),
        Item::file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n",
        ),
        Item::file("etc/group", "root:x:0:\nbob:x:1000:\ncrew:x:50:bob\n"),
        Item::dir("data/"),
        Item::file("data/seed", "from the image\n"),
        Item::dir("tmp/").mode(0o1777),
    ];
    for applet in [
        "sh", "cat", "echo", "sleep", "id", "hostname", "stty", "ls", "env", "touch", "kill",
        "true", "false", "yes", "head", "mkdir", "readlink", "stat",
    ] {
        items.push(Item::link(format!("bin/{applet}"), "busybox"));
    }
    let image = TinyImage::new("tiny:1", [items]);
    naru_transfer::load(
        store,
        naru_transfer::Source::Stream(Box::new(Cursor::new(image.docker_archive()))),
        &|_| {},
    )
    .unwrap();
}
