//! Acts: sockets to listen on, and accepting from them when descriptors run out.

use naru_errdefs::{Fault, Kind, ResultExt};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// How long accepting rests when there is no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listening {
    listener: UnixListener,
    /// Whether the log says that nobody can be accepted, and nobody was since.
    short: AtomicBool,
}

impl From<UnixListener> for Listening {
    fn from(listener: UnixListener) -> Listening {
        Listening { listener, short: AtomicBool::new(false) }
    }
}

/// Listens on a path that only root and the group of the file may use. What is left of a daemon that is gone is
/// replaced; a socket that answers is not.
pub fn bind_unix(path: &Path) -> Result<Listening, Fault> {
    let shown = path.display();
    match path.symlink_metadata() {
        Ok(metadata) if metadata.file_type().is_socket() => {
            if BlockingStream::connect(path).is_ok() {
                let message = format!("cannot listen on `{shown}`: another daemon answers there");
                return Err(Fault::new(Kind::Conflict, message).with_hint(
                    "stop that daemon, or choose another socket with `-H unix://PATH`",
                ));
            }
            std::fs::remove_file(path).during(|| format!("cannot replace the socket `{shown}`"))?;
        }
        Ok(_) => {
            return Err(Fault::conflict(format!("cannot listen on `{shown}`: it is no socket"))
                .with_hint("choose another socket with `-H unix://PATH`"));
        }
        Err(_absent) => {}
    }
    let listener = UnixListener::bind(path).during(|| format!("cannot listen on `{shown}`"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .during(|| format!("cannot set the rights of `{shown}`"))?;
    Ok(Listening::from(listener))
}

impl Listening {
    /// The next client. A lack of descriptors or memory is waited out, not spun on.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _address)) => {
                    self.short.store(false, Ordering::Relaxed);
                    return stream;
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    if !self.short.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "cannot accept a connection; trying again");
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
