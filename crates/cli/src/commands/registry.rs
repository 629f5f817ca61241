//! Acts: `login` and `logout`, and who the user is to registries. The commands about a registry itself are below.

mod collect;
mod group;
mod list;
mod place;
mod remove;
mod usage;

pub(super) use group::REGISTRY;

use super::{Action, Arguments, BASE, Command};
use crate::context::App;
use crate::docker_config::{DockerConfig, Stored, registry_key};
use crate::exit::{ExitStatus, Failed};
use crate::flags::{Flag, Flags, switch, value};
use crate::{printer, terminal};
use naru_api_types::Map;
use naru_api_types::registry::{AuthConfig, HUB_KEY};
use naru_errdefs::{Fault, Kind, one_line};
use std::io::Read;

const LOGIN_FLAGS: &[Flag] = &[
    value("password", "string", "Password or Personal Access Token (PAT)").short('p'),
    switch("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
    value("username", "string", "Username").short('u'),
];

pub(super) static LOGIN: Command = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    about: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    flags: &[LOGIN_FLAGS],
    arguments: Arguments::AtMost(1),
    action: Action::Run(login),
    ..BASE
};

pub(super) static LOGOUT: Command = Command {
    name: "logout",
    usage: "[SERVER]",
    about: "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    arguments: Arguments::AtMost(1),
    action: Action::Run(logout),
    ..BASE
};

/// The longest password that is read.
const LONGEST: u64 = 1 << 20;

/// Who the user is to registries.
#[derive(Debug)]
pub(crate) struct Registries(DockerConfig);

impl Registries {
    /// As the user's configuration says.
    pub(crate) fn of(app: &App<'_>) -> Result<Registries, Fault> {
        DockerConfig::read(app.config_directory().as_deref()).map(Registries)
    }

    /// The value of the header for a registry. A helper that fails is complained about: the image may be public.
    pub(crate) fn header(&self, registry: &str) -> String {
        self.auth(registry).encode()
    }

    /// Who the user is to a registry.
    fn auth(&self, registry: &str) -> AuthConfig {
        let key = registry_key(registry);
        self.0.credentials(&key).unwrap_or_else(|fault| {
            printer::note(&format!("WARNING: no credentials for {registry}: {}", one_line(&fault)));
            AuthConfig::default()
        })
    }

    /// The value of the header with all that is known, for a build that may pull from anywhere.
    pub(crate) fn all_headers(&self) -> String {
        let mut all = Map::new();
        for key in self.0.registries() {
            match self.0.credentials(key) {
                Ok(auth) if auth != AuthConfig::default() => {
                    all.insert(key.to_owned(), auth);
                }
                Ok(_) => {}
                Err(fault) => printer::note(&format!(
                    "WARNING: no credentials for {key}: {}",
                    one_line(&fault)
                )),
            }
        }
        AuthConfig::encode_all(&all)
    }
}

fn login(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let given = given(flags)?;
    let key = registry_key(flags.arg(0));
    let mut config = DockerConfig::read(app.config_directory().as_deref())?;
    let known = config.credentials(&key)?;
    if given.username.is_empty() && given.password.is_empty() && has_secret(&known) {
        printer::note(&format!(
            "Authenticating with existing credentials... [Username: {}]\n\n Info -> To login with a different account, run '{program} logout' followed by '{program} login'\n\n",
            known.username,
            program = app.program()
        ));
        let again = AuthConfig { serveraddress: key.clone(), ..known.clone() };
        match try_login(app, &mut config, again) {
            Err(Failed { fault: Some(fault), .. }) if terminal::stdin_is_terminal() => {
                printer::note(&match fault.kind() {
                    Kind::Unauthorized => "Stored credentials invalid or expired".to_owned(),
                    _ => format!("Login did not succeed, error: {}", one_line(&fault)),
                });
            }
            ended => return ended,
        }
    }
    let auth = asked(given, &known, &key)?;
    try_login(app, &mut config, auth)
}

fn has_secret(auth: &AuthConfig) -> bool {
    !auth.identitytoken.is_empty() || !auth.username.is_empty() && !auth.password.is_empty()
}

/// Name and password as the command line gives them.
fn given(flags: &Flags) -> Result<AuthConfig, Failed> {
    let mut auth = AuthConfig {
        username: flags.text("username").unwrap_or_default().to_owned(),
        password: flags.text("password").unwrap_or_default().to_owned(),
        ..AuthConfig::default()
    };
    let from_input = flags.switch("password-stdin");
    if from_input && flags.given("password") {
        return Err(Fault::invalid(
            "conflicting options: cannot specify both --password and --password-stdin",
        )
        .into());
    }
    if flags.given("username") && auth.username.is_empty() {
        return Err(Fault::invalid("username is empty").into());
    }
    if flags.given("password") {
        if auth.password.is_empty() {
            return Err(Fault::invalid("password is empty").into());
        }
        printer::note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if from_input {
        if auth.username.is_empty() {
            return Err(Fault::invalid(
                "the --password-stdin option requires --username to be set",
            )
            .into());
        }
        let mut text = String::new();
        std::io::stdin()
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(|error| Fault::io("cannot read the password from standard input", error))?;
        auth.password = text.trim_end_matches(['\r', '\n']).to_owned();
        if auth.password.is_empty() {
            return Err(Fault::invalid("password is empty").into());
        }
    }
    Ok(auth)
}

/// Asks for what is missing.
fn asked(mut auth: AuthConfig, known: &AuthConfig, key: &str) -> Result<AuthConfig, Failed> {
    auth.serveraddress = key.to_owned();
    if !auth.username.is_empty() && !auth.password.is_empty() {
        return Ok(auth);
    }
    if !terminal::stdin_is_terminal() {
        return Err(Fault::invalid(
            "Error: Cannot perform an interactive login from a non TTY device",
        )
        .with_hint("pipe the password in: `naru login -u NAME --password-stdin SERVER`")
        .into());
    }
    if auth.username.is_empty() {
        if key == HUB_KEY {
            printer::note(
                "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.",
            );
        }
        let shown = match known.username.as_str() {
            "" => "Username: ".to_owned(),
            name => format!("Username ({name}): "),
        };
        auth.username = terminal::ask(&shown)?;
        if auth.username.is_empty() {
            auth.username.clone_from(&known.username);
        }
        if auth.username.is_empty() {
            return Err(Fault::invalid("Error: Non-null Username Required").into());
        }
    }
    if auth.password.is_empty() {
        auth.password = terminal::ask_secret("Password: ")?;
        if auth.password.is_empty() {
            return Err(Fault::invalid("Error: Password Required").into());
        }
    }
    Ok(auth)
}

/// Lets the daemon try, and keeps what works.
fn try_login(
    app: &App<'_>,
    config: &mut DockerConfig,
    mut auth: AuthConfig,
) -> Result<ExitStatus, Failed> {
    let answer = app.talk(async |client| Ok(client.login(&auth).await?))?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identitytoken = answer.identity_token;
    }
    let stored = config
        .store(&auth)
        .map_err(|fault| fault.context("logged in, but the credentials cannot be kept"))?;
    if let Stored::Unencrypted(path) = stored {
        printer::note(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        ));
    }
    if !answer.status.is_empty() {
        printer::out(&format!("{}\n", answer.status))?;
    }
    Ok(ExitStatus::SUCCESS)
}

fn logout(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let key = registry_key(flags.arg(0));
    let mut keys = vec![key.clone()];
    if key != HUB_KEY {
        // Forms in which older clients kept them.
        for old in [flags.arg(0).to_owned(), format!("http://{key}"), format!("https://{key}")] {
            if !keys.contains(&old) {
                keys.push(old);
            }
        }
    }
    printer::out(&format!("Removing login credentials for {key}\n"))?;
    let mut config = DockerConfig::read(app.config_directory().as_deref())?;
    config.erase(&keys).map_err(|fault| fault.context("could not erase credentials"))?;
    Ok(ExitStatus::SUCCESS)
}
