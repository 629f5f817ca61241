//! Acts: a line to a git server that is a stream: git's own service over TCP, or the system's `ssh`, the one program that is
//! run: it alone knows a user's keys, agents, hosts and configuration.

use bytes::Bytes;
use naru_build::ports::{GitRequest, KnownHosts};
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_git::{Line, Transport};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const CONNECT: Duration = Duration::from_secs(15);
/// How long a server may be silent; `git` says something every few seconds while it works.
const STALL: Duration = Duration::from_secs(120);
/// How long whoever has said all is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Bytes of what `ssh` says about a failure.
const MOST_WORDS: u64 = 4096;
const PIECE: usize = 64 << 10;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A line.
pub(super) struct StreamLine {
    stream: Box<dyn Duplex>,
    host: String,
    ssh: Option<Ssh>,
    heard: bool,
}

/// A running `ssh`; it ends with the line.
struct Ssh {
    child: Child,
    words: UnixStream,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl StreamLine {
    /// Opens the line to a repository.
    pub(super) async fn open(request: &GitRequest<'_>) -> Result<StreamLine, Fault> {
        match &request.address.transport {
            Transport::Git { host, port, path } => {
                let failed = || format!("cannot connect to the git server `{host}:{port}`");
                let connecting = TcpStream::connect((host.as_str(), *port));
                let stream = tokio::time::timeout(CONNECT, connecting).await;
                let stream = stream.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
                let stream = stream
                    .map_err(|error| Fault::new(Kind::Unavailable, failed()).with_source(error))?;
                let mut line = StreamLine {
                    stream: Box::new(stream),
                    host: host.clone(),
                    ssh: None,
                    heard: false,
                };
                let words = format!("git-upload-pack {path}\0host={host}:{port}\0\0version=2\0");
                line.send(format!("{:04x}{words}", words.len() + 4).into_bytes()).await?;
                Ok(line)
            }
            Transport::Ssh { user, host, port, path } => {
                let place = match user {
                    Some(user) => format!("{user}@{host}"),
                    None => host.clone(),
                };
                let known = known_hosts(host, *port, request.hosts).await;
                StreamLine::by_ssh(&place, *port, path, (request.agent, known))
            }
            Transport::Http(_) => {
                Err(Fault::internal("a repository by HTTP was taken for a stream"))
            }
        }
    }

    fn by_ssh(
        place: &str,
        port: Option<u16>,
        path: &str,
        (agent, known): (Option<&Path>, [String; 2]),
    ) -> Result<StreamLine, Fault> {
        let failed = || format!("cannot run `ssh` for `{place}`");
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().during(failed)?;
        let (words, their_words) = std::os::unix::net::UnixStream::pair().during(failed)?;
        let theirs = OwnedFd::from(theirs);
        let mut command = Command::new("ssh");
        // Nobody is there to be asked.
        for option in [
            "BatchMode=yes",
            "ConnectTimeout=15",
            "ServerAliveInterval=30",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "PermitLocalCommand=no",
            "SendEnv=GIT_PROTOCOL",
        ] {
            command.args(["-o", option]);
        }
        for option in known {
            command.args(["-o", &option]);
        }
        if let Some(port) = port {
            command.arg("-p").arg(port.to_string());
        }
        match agent {
            Some(socket) => command.env("SSH_AUTH_SOCK", socket),
            None => command.env_remove("SSH_AUTH_SOCK"),
        };
        let quoted = path.replace('\'', "'\\''");
        command
            .arg("-T")
            .arg("--")
            .arg(place)
            .arg(format!("git-upload-pack '{quoted}'"))
            .env("GIT_PROTOCOL", "version=2")
            .stdin(theirs.try_clone().during(failed)?)
            .stdout(theirs)
            .stderr(Stdio::from(OwnedFd::from(their_words)));
        let child = command.spawn().map_err(|error| {
            let fault = Fault::new(Kind::Unavailable, failed());
            match error.kind() {
                io::ErrorKind::NotFound => fault.with_hint(
                    "repositories by ssh need the program `ssh` where the daemon runs (Debian's package openssh-client)",
                ),
                _ => fault.with_source(error),
            }
        })?;
        // Our copies of its ends would keep them open.
        drop(command);
        let tokio = |stream: std::os::unix::net::UnixStream| {
            stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream)).during(failed)
        };
        let stream = tokio(ours)?;
        let ssh = Ssh { child, words: tokio(words)? };
        let host = place.to_owned();
        Ok(StreamLine { stream: Box::new(stream), host, ssh: Some(ssh), heard: false })
    }

    /// Why nothing comes.
    async fn ended(&mut self) -> Fault {
        let text = format!("the git server `{}` ended the connection", self.host);
        let Some(ssh) = &mut self.ssh else { return Fault::new(Kind::Unavailable, text) };
        let mut words = Vec::new();
        let mut reading = (&mut ssh.words).take(MOST_WORDS);
        // Whatever was said by then.
        tokio::time::timeout(LAST_WORDS, reading.read_to_end(&mut words)).await.ok();
        let said = String::from_utf8_lossy(&words);
        let said: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('@'))
            .collect();
        if said.iter().any(|line| line.starts_with("Host key verification failed")) {
            return refused_host(&self.host, &said);
        }
        let fault = Fault::new(Kind::Unavailable, format!("{text}: {}", said.join("; ")));
        fault.with_hint("give the build an agent that has the key: `--ssh default`")
    }
}

/// The options about the keys of hosts. What whoever builds knows of the host counts alone; a host that he does not know, or of
/// whom nobody says what he knows, is taken the first time, as BuildKit takes it every time, and has to be the same from then on.
async fn known_hosts(host: &str, port: Option<u16>, hosts: KnownHosts<'_>) -> [String; 2] {
    let quoted = |path: &Path| {
        let path = path.display().to_string().replace('%', "%%").replace('"', "");
        format!("UserKnownHostsFile=\"{path}\"")
    };
    if let Some(theirs) = hosts.theirs
        && knows(theirs.to_owned(), host.to_owned(), port).await
    {
        return [quoted(theirs), "StrictHostKeyChecking=yes".to_owned()];
    }
    let files = format!("{} ~/.ssh/known_hosts ~/.ssh/known_hosts2", quoted(hosts.ours));
    [files, "StrictHostKeyChecking=accept-new".to_owned()]
}

/// Whether a file has anything about a host. One that cannot be read may have it.
async fn knows(file: PathBuf, host: String, port: Option<u16>) -> bool {
    let read = tokio::task::spawn_blocking(move || {
        let list = std::fs::read(file)?;
        Ok::<bool, io::Error>(naru_git::knows(&String::from_utf8_lossy(&list), &host, port))
    });
    !matches!(read.await, Ok(Ok(false)))
}

/// A host whose key is not the one that is known.
fn refused_host(place: &str, said: &[&str]) -> Fault {
    let has_changed = said.iter().any(|line| line.contains("has changed"));
    let host = place.rsplit('@').next().unwrap_or(place);
    let why = if has_changed { "is not the one that is known" } else { "cannot be verified" };
    let told = said.iter().find(|line| line.contains("fingerprint") || line.contains("SHA256:"));
    let told = told.map(|line| format!(" ({})", line.trim_end_matches('.'))).unwrap_or_default();
    Fault::new(Kind::Forbidden, format!("the key of the git server `{host}` {why}{told}")).with_hint(
        "find out whether the host has a new key; if it has, take the old one out of your `known_hosts` with `ssh-keygen -R HOST`, or, where you had none, out of `build/known_hosts` below the daemon's data root; if not, somebody else answers in its place",
    )
}

impl Line for StreamLine {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), Fault> {
        let sent = tokio::time::timeout(STALL, self.stream.write_all(&message)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.ended().await),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        let mut buffer = vec![0; PIECE];
        match tokio::time::timeout(STALL, self.stream.read(&mut buffer)).await {
            Err(_late) => {
                let text =
                    format!("the git server `{}` stopped in the middle of an answer", self.host);
                Err(Fault::new(Kind::Unavailable, text))
            }
            Ok(Ok(count)) if count > 0 => {
                self.heard = true;
                buffer.truncate(count);
                Ok(Some(buffer.into()))
            }
            Ok(Ok(_) | Err(_)) if !self.heard => Err(self.ended().await),
            Ok(Ok(_)) => Ok(None),
            Ok(Err(error)) => {
                Err(Fault::new(Kind::Unavailable, format!("the line to `{}` broke", self.host))
                    .with_source(error))
            }
        }
    }
}
