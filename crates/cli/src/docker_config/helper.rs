//! Acts: programs of the user that keep secrets (`docker-credential-NAME`): one word as an argument, a question on
//! standard input, the answer on standard output.

use naru_api_types::registry::AuthConfig;
use naru_errdefs::{Fault, Kind};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a helper may take; it may have to ask the user for a password.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest answer.
const LONGEST: u64 = 1 << 20;
/// The user's name that stands for a token.
const TOKEN: &str = "<token>";

/// A credential helper.
#[derive(Debug)]
pub(super) struct Helper {
    program: String,
    patience: Duration,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Secret {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

impl Helper {
    /// The helper of this name. A path would be another program than docker runs.
    pub(super) fn named(name: &str) -> Result<Helper, Fault> {
        if name.contains('/') || name.contains('\0') {
            return Err(Fault::invalid(format!("`{name}` is not the name of a credential helper"))
                .with_hint(
                    "`credsStore` and `credHelpers` take what follows `docker-credential-`",
                ));
        }
        Ok(Helper { program: format!("docker-credential-{name}"), patience: PATIENCE })
    }

    /// What it keeps for a registry.
    pub(super) fn get(&self, key: &str) -> Result<Option<AuthConfig>, Fault> {
        let answer = match self.ask("get", key.as_bytes())? {
            Ok(answer) => answer,
            Err(message) if message.contains("credentials not found") => return Ok(None),
            Err(message) => return Err(self.failed("get", key, &message)),
        };
        let secret: Secret = serde_json::from_slice(&answer).map_err(|error| {
            // The answer may hold the secret, so it is not shown.
            Fault::invalid(format!("`{}` answers with something else than JSON", self.program))
                .with_source(error)
        })?;
        let mut auth = AuthConfig { serveraddress: key.to_owned(), ..AuthConfig::default() };
        if secret.username == TOKEN {
            auth.identitytoken = secret.secret;
        } else {
            auth.username = secret.username;
            auth.password = secret.secret;
        }
        Ok(Some(auth))
    }

    /// Gives it something to keep.
    pub(super) fn store(&self, auth: &AuthConfig) -> Result<(), Fault> {
        let (username, secret) = if auth.identitytoken.is_empty() {
            (auth.username.clone(), auth.password.clone())
        } else {
            (TOKEN.to_owned(), auth.identitytoken.clone())
        };
        let question = Secret { server_url: auth.serveraddress.clone(), username, secret };
        let question = serde_json::to_vec(&question)
            .map_err(|error| Fault::internal("cannot write JSON").with_source(error))?;
        self.ask("store", &question)?
            .map(drop)
            .map_err(|message| self.failed("store", &auth.serveraddress, &message))
    }

    /// Lets it forget a registry; fine when it knows nothing of it.
    pub(super) fn erase(&self, key: &str) -> Result<(), Fault> {
        match self.ask("erase", key.as_bytes())? {
            Ok(_) => Ok(()),
            Err(message) if message.contains("credentials not found") => Ok(()),
            Err(message) => Err(self.failed("erase", key, &message)),
        }
    }

    fn failed(&self, what: &str, key: &str, message: &str) -> Fault {
        let message: String = message.chars().take(500).collect();
        Fault::internal(format!("`{} {what}` failed for `{key}`: {message}", self.program))
            .with_hint("try the helper by itself, or remove it from `config.json`")
    }

    /// The answer, or what it says when it fails.
    fn ask(&self, what: &str, question: &[u8]) -> Result<Result<Vec<u8>, String>, Fault> {
        let cannot = |error: std::io::Error| {
            let fault =
                Fault::io(format!("cannot run the credential helper `{}`", self.program), error);
            match fault.kind() {
                Kind::NotFound => {
                    fault.with_hint("install it, or remove it from `credsStore` and `credHelpers`")
                }
                _ => fault,
            }
        };
        let mut child = Command::new(&self.program)
            .arg(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let question = question.to_vec();
        // One that does not read must not hold us, and one that does not end neither.
        std::thread::spawn(move || {
            input.map(|mut input| input.write_all(&question)).transpose().ok();
        });
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut answer = Vec::new();
            let read = output.map(|output| output.take(LONGEST).read_to_end(&mut answer));
            drop(sender.send(read.transpose().map(|_| answer)));
        });
        let until = Instant::now() + self.patience;
        let answer = receiver.recv_timeout(self.patience);
        let status = ended(&mut child, until);
        let (Ok(answer), Some(status)) = (answer, status) else {
            return Err(Fault::new(
                Kind::Unavailable,
                format!(
                    "`{} {what}` did not answer within {} seconds",
                    self.program,
                    self.patience.as_secs()
                ),
            )
            .with_hint("try the helper by itself, or remove it from `config.json`"));
        };
        let answer = answer.map_err(cannot)?;
        if status.success() {
            return Ok(Ok(answer));
        }
        let message = String::from_utf8_lossy(&answer).trim().to_owned();
        Ok(Err(if message.is_empty() { status.to_string() } else { message }))
    }
}

/// How it ended; it is ended when it does not by then.
fn ended(child: &mut Child, until: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(None) | Err(_) => {
                child.kill().ok();
                child.wait().ok();
                return None;
            }
        }
    }
}

#[cfg(test)]
impl Helper {
    pub(super) fn at(program: &std::path::Path, patience: Duration) -> Helper {
        Helper { program: program.to_string_lossy().into_owned(), patience }
    }
}
