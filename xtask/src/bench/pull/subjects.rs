//! Those who pull and push, each on roots of its own. Acts.

use crate::bench::measure::timed;
use crate::bench::peers::{Docker, Podman};
use crate::bench::report;
use integration_tests::Daemon;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everybody, running.
#[derive(Debug)]
pub struct Subjects {
    daemon: Daemon,
    registry: String,
    docker: Docker,
    podman: Podman,
    layouts: PathBuf,
}

/// What a subject does with an image.
type WithImage<'a> = Box<dyn Fn(&str) -> Command + 'a>;
/// What a subject does with an image and a second name of it.
type WithName<'a> = Box<dyn Fn(&str, &str) -> Command + 'a>;

/// One of them: what it does, as commands.
pub struct Subject<'a> {
    pub name: &'static str,
    servers: Box<dyn Fn() -> Vec<u32> + 'a>,
    remove: WithImage<'a>,
    pull: WithImage<'a>,
    tag: Option<WithName<'a>>,
    push: WithName<'a>,
}

impl Subjects {
    /// Starts them below a directory.
    pub fn start(binary: &Path, dir: &Path) -> Result<Subjects, String> {
        let registry = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .to_string();
        let mut daemon = Daemon::start_with(&["--registry", &registry]);
        daemon.use_binary(binary);
        daemon.terminate();
        daemon.launch();
        let tar = dir.join("box.tar");
        report::write_bytes(&tar, &integration_tests::image::busybox_tar())?;
        let (docker, podman) = (Docker::start(dir, &tar)?, Podman::start(dir, &tar)?);
        Ok(Subjects { daemon, registry, docker, podman, layouts: dir.join("layouts") })
    }

    /// Where the registry of our daemon listens.
    pub fn own_registry(&self) -> &str {
        &self.registry
    }

    /// Our client.
    pub fn ours(&self, args: &[&str]) -> Command {
        self.daemon.command(args)
    }

    /// All of them, ours first.
    pub fn list(&self) -> Vec<Subject<'_>> {
        let layout = self.layouts.join("services");
        let (into, from, gone) = (layout.clone(), layout.clone(), layout);
        vec![
            Subject {
                name: "naru",
                servers: Box::new(|| {
                    std::iter::once(self.daemon.pid()).chain(self.daemon.monitor_pid()).collect()
                }),
                remove: Box::new(|image| self.daemon.command(&["rmi", "-f", image])),
                pull: Box::new(|image| self.daemon.command(&["pull", "-q", image])),
                tag: Some(Box::new(|image, name| self.daemon.command(&["tag", image, name]))),
                push: Box::new(|_, name| self.daemon.command(&["push", "-q", name])),
            },
            Subject {
                name: "docker",
                servers: Box::new(|| self.docker.pids()),
                remove: Box::new(|image| self.docker.command(&["rmi", "-f", image])),
                pull: Box::new(|image| self.docker.command(&["pull", "-q", image])),
                tag: Some(Box::new(|image, name| self.docker.command(&["tag", image, name]))),
                push: Box::new(|_, name| self.docker.command(&["push", "-q", name])),
            },
            Subject {
                name: "podman",
                servers: Box::new(Vec::new),
                remove: Box::new(|image| self.podman.command(&["rmi", "-i", "-f", image])),
                pull: Box::new(|image| {
                    self.podman.command(&["pull", "-q", "--tls-verify=false", image])
                }),
                tag: Some(Box::new(|image, name| self.podman.command(&["tag", image, name]))),
                push: Box::new(|_, name| {
                    self.podman.command(&["push", "-q", "--tls-verify=false", name])
                }),
            },
            // It stores what comes as it is: nothing is unpacked.
            Subject {
                name: "skopeo, which unpacks nothing",
                servers: Box::new(Vec::new),
                remove: Box::new(move |_| {
                    let mut command = Command::new("rm");
                    command.arg("-rf").arg(&gone);
                    command
                }),
                pull: Box::new(move |image| {
                    std::fs::create_dir_all(&into).ok();
                    skopeo(&format!("docker://{image}"), &format!("oci:{}:it", into.display()))
                }),
                tag: None,
                push: Box::new(move |_, name| {
                    skopeo(&format!("oci:{}:it", from.display()), &format!("docker://{name}"))
                }),
            },
        ]
    }
}

fn skopeo(from: &str, to: &str) -> Command {
    let mut command = Command::new("skopeo");
    command.args(["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
    command
}

impl Subject<'_> {
    /// The daemons that work for it.
    pub fn servers(&self) -> Vec<u32> {
        (self.servers)()
    }

    /// It has no image of this name any more, nor its layers.
    pub fn forget(&self, image: &str) -> Result<(), String> {
        // The first time there is none.
        timed(&mut (self.remove)(image)).map(drop).or_else(|error| {
            if error.to_lowercase().contains("no such image") { Ok(()) } else { Err(error) }
        })
    }

    /// The pull of an image.
    pub fn pull(&self, image: &str) -> Command {
        (self.pull)(image)
    }

    /// A second name for an image.
    pub fn name_as(&self, image: &str, name: &str) -> Result<(), String> {
        self.tag.as_ref().map_or(Ok(()), |tag| timed(&mut tag(image, name)).map(drop))
    }

    /// Takes a second name away.
    pub fn unname(&self, name: &str) -> Result<(), String> {
        self.tag.as_ref().map_or(Ok(()), |_| timed(&mut (self.remove)(name)).map(drop))
    }

    /// The push of an image by its second name.
    pub fn push(&self, image: &str, name: &str) -> Command {
        (self.push)(image, name)
    }
}
