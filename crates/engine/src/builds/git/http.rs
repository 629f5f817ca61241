//! Acts: a line to a git server over HTTP (gitprotocol-http): a question and an answer at a time.

use bytes::Bytes;
use naru_build::ports::GitAuth;
use naru_errdefs::{Fault, Kind};
use naru_git::Line;
use naru_transfer::{Registries, WebAnswer, WebRequest, ask_web, shown_address};

/// What is asked first, behind the address of a repository.
const FIRST: &str = "/info/refs?service=git-upload-pack";
/// The media type of the answer to that.
const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
/// The user that goes with a token, as BuildKit has it.
const TOKEN_USER: &str = "x-access-token";

/// A line.
pub(super) struct HttpLine<'a> {
    registries: &'a Registries,
    /// Where the repository is, after redirects.
    base: String,
    auth: Option<GitAuth<'a>>,
    answer: WebAnswer,
}

impl<'a> HttpLine<'a> {
    /// Asks what the server has to say at first.
    pub(super) async fn open(
        registries: &'a Registries,
        url: &str,
        auth: Option<GitAuth<'a>>,
    ) -> Result<HttpLine<'a>, Fault> {
        let address = format!("{url}{FIRST}");
        let request = asked(&address, auth, vec![("Git-Protocol", "version=2".to_owned())]);
        let answer = ask_web(registries, &request).await?;
        answer.refuse().map_err(|fault| explain(fault, auth))?;
        let media_type = answer.header("content-type").unwrap_or_default();
        if !media_type.starts_with(ADVERTISEMENT) {
            let url = shown_address(url);
            return Err(Fault::unsupported(format!("`{url}` does not speak git's smart protocol"))
                .with_hint("see that the address is that of a git repository; servers of plain files are not supported"));
        }
        // A server that moved is asked where it is now.
        let base = answer.address().strip_suffix(FIRST).unwrap_or(url).to_owned();
        Ok(HttpLine { registries, base, auth, answer })
    }
}

fn asked<'a>(
    address: &'a str,
    auth: Option<GitAuth<'a>>,
    mut headers: Vec<(&'static str, String)>,
) -> WebRequest<'a> {
    let basic = match auth {
        Some(GitAuth::Token(token)) => Some((TOKEN_USER, token)),
        Some(GitAuth::Header(value)) => {
            headers.push(("Authorization", value.to_owned()));
            None
        }
        None => None,
    };
    WebRequest { address, headers, basic, body: None }
}

fn explain(fault: Fault, auth: Option<GitAuth<'_>>) -> Fault {
    match (fault.kind(), auth) {
        (Kind::Forbidden | Kind::NotFound, None) => fault.with_hint(
            "if the repository is not for everybody, give a token: `--secret id=GIT_AUTH_TOKEN,env=VARIABLE`",
        ),
        _ => fault,
    }
}

impl Line for HttpLine<'_> {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), Fault> {
        let address = format!("{}/git-upload-pack", self.base);
        let headers = vec![
            ("Git-Protocol", "version=2".to_owned()),
            ("Content-Type", "application/x-git-upload-pack-request".to_owned()),
            ("Accept", "application/x-git-upload-pack-result".to_owned()),
        ];
        let mut request = asked(&address, self.auth, headers);
        request.body = Some(Bytes::from(message));
        self.answer = ask_web(self.registries, &request).await?;
        self.answer.refuse().map_err(|fault| explain(fault, self.auth))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        self.answer.piece().await
    }
}
