//! Acts: what every command needs: the daemon to talk to, the runtime to do it on, and where we are.

use crate::Hooks;
use crate::exit::Failed;
use crate::printer;
use crate::registry_access::{RegistryAccess, RegistryPlace};
use naru_client::{Client, Endpoint, Revive};
use naru_errdefs::Fault;
use std::cell::OnceCell;
use std::rc::Rc;

/// The socket of the daemon that is meant when none is named.
pub const DEFAULT_SOCKET: &str = "/run/naru/naru.sock";

/// Where the daemon is, and whether somebody said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `-H`, `NARU_HOST` or `DOCKER_HOST`.
    Named(Endpoint),
    /// Nobody said anything.
    Default(Endpoint),
}

impl Host {
    /// Pure: the flag wins over `NARU_HOST`, which wins over `DOCKER_HOST`.
    pub fn choose(
        flag: Option<&str>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Host, Fault> {
        let named = flag
            .map(str::to_owned)
            .or_else(|| lookup("NARU_HOST"))
            .or_else(|| lookup("DOCKER_HOST"))
            .filter(|text| !text.is_empty());
        match named {
            Some(text) => Ok(Host::Named(text.parse()?)),
            None => Ok(Host::Default(Endpoint::Unix(DEFAULT_SOCKET.into()))),
        }
    }

    fn endpoint(&self) -> &Endpoint {
        match self {
            Host::Named(endpoint) | Host::Default(endpoint) => endpoint,
        }
    }
}

/// What a command is given.
pub struct App<'a> {
    host: Host,
    client: Client,
    runtime: OnceCell<tokio::runtime::Runtime>,
    program: &'a str,
    /// `--config`
    config: Option<String>,
    hooks: Hooks,
}

impl std::fmt::Debug for App<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("host", &self.host).finish_non_exhaustive()
    }
}

impl<'a> App<'a> {
    /// Nothing is connected or started yet.
    pub fn new(host: Host, hooks: Hooks, program: &'a str) -> App<'a> {
        let revive = match &host {
            Host::Default(Endpoint::Unix(socket)) => {
                let (start, socket) = (hooks.start_daemon, socket.clone());
                let revive: Revive = Rc::new(move || {
                    printer::note("no daemon is running: starting one");
                    start(&socket)
                });
                Some(revive)
            }
            Host::Named(_) => None,
        };
        let client = Client::new(host.endpoint().clone()).reviving(revive);
        App { host, client, runtime: OnceCell::new(), program, config: None, hooks }
    }

    /// The same with the user's configuration in another directory.
    #[must_use]
    pub fn configured_in(mut self, directory: Option<&str>) -> App<'a> {
        self.config = directory.filter(|text| !text.is_empty()).map(str::to_owned);
        self
    }

    /// The directory of the user's configuration, docker's own: `--config`, `DOCKER_CONFIG`, or `.docker` at home.
    pub fn config_directory(&self) -> Option<String> {
        let named = self.config.clone().or_else(|| variable("DOCKER_CONFIG"));
        named.filter(|text| !text.is_empty()).or_else(|| {
            let home = variable("HOME").filter(|home| !home.is_empty())?;
            Some(format!("{home}/.docker"))
        })
    }

    /// What the user called us (`naru`, `docker`).
    pub fn program(&self) -> &str {
        self.program
    }

    /// The way to a registry, past all daemons.
    pub fn registry(&self, place: RegistryPlace) -> Result<Box<dyn RegistryAccess>, Fault> {
        (self.hooks.registry)(place)
    }

    /// The client, whether or not anything answers there.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a conversation with the daemon, which is started before if it is the default one and absent.
    pub fn talk<T>(
        &self,
        conversation: impl AsyncFnOnce(&Client) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        self.block(async {
            self.client.connect().await?;
            conversation(&self.client).await
        })
    }

    /// Runs a future on the one thread there is.
    pub fn block<T>(&self, future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let runtime = match self.runtime.get() {
            Some(runtime) => runtime,
            None => {
                let made = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| Fault::io("cannot start the event loop", error))?;
                self.runtime.get_or_init(|| made)
            }
        };
        runtime.block_on(future)
    }
}

/// A variable of our own environment.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The directory we were started in.
pub fn working_directory() -> Result<String, Fault> {
    let path = std::env::current_dir()
        .map_err(|error| Fault::io("cannot find the working directory", error))?;
    path.into_os_string().into_string().map_err(|path| {
        Fault::invalid(format!("the working directory `{}` is not UTF-8", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_and_naru_wins_over_docker() {
        let both = |name: &str| match name {
            "NARU_HOST" => Some("unix:///n".to_owned()),
            "DOCKER_HOST" => Some("unix:///d".to_owned()),
            _ => None,
        };
        let docker = |name: &str| both(name).filter(|_| name == "DOCKER_HOST");
        let named = |path: &str| Host::Named(Endpoint::Unix(path.into()));
        assert_eq!(Host::choose(Some("unix:///f"), &both).unwrap(), named("/f"));
        assert_eq!(Host::choose(None, &both).unwrap(), named("/n"));
        assert_eq!(Host::choose(None, &docker).unwrap(), named("/d"));
        assert_eq!(
            Host::choose(None, &|_| None).unwrap(),
            Host::Default(Endpoint::Unix(DEFAULT_SOCKET.into()))
        );
        assert!(Host::choose(Some("tcp://x"), &both).is_err());
    }
}
