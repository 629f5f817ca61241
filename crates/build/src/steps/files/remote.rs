//! Acts: ADD of what lies elsewhere: files of the network, git repositories.

use super::{Asked, Item, located};
use crate::copy::{self, Piece, View};
use crate::event::BuildFailure;
use crate::remote::{self, git};
use crate::stage::Step;
use naru_errdefs::{Fault, ResultExt};
use naru_git::{Address, Tip};
use naru_oci::{Algorithm, Digest, Digester};

/// Something whose content is known before it is here.
#[derive(Debug, Clone)]
pub(super) enum Later {
    /// A file of the network with this digest.
    File {
        address: String,
        /// Its name, by the address.
        name: String,
        digest: Digest,
        unpack: bool,
    },
    /// The files of a commit.
    Git { address: Address, tip: Tip, keeps: bool },
}

impl Later {
    /// What of it counts for the key of a vertex.
    pub(super) fn key(&self) -> String {
        match self {
            Later::File { name, digest, unpack, .. } => format!("file {digest} {unpack} {name}"),
            Later::Git { address, tip, keeps } => git::Wanted { address, tip, keeps: *keeps }.key(),
        }
    }

    /// Brings it.
    pub(super) async fn fetch(self, step: &Step<'_>) -> Result<Vec<Piece>, BuildFailure> {
        match self {
            Later::File { address, digest, unpack, .. } => {
                let found = file(step, &address).await?;
                verify(found.digest, digest)?;
                Ok(pieces(step, found, unpack).await?)
            }
            Later::Git { address, tip, keeps } => {
                let shared = &step.session.shared;
                let wanted = git::Wanted { address: &address, tip: &tip, keeps };
                let cancelled = &shared.cancelled;
                let context =
                    git::context(&shared.inner, &shared.options, &wanted, cancelled).await?;
                let find = move |_: &_| {
                    copy::find(&View::Context(context), ".", copy::Pattern::None, false)
                };
                Ok(shared.blocking(find).await?)
            }
        }
    }
}

/// What a source of ADD means that lies elsewhere; nothing when it does not.
pub(super) async fn items(
    step: &Step<'_>,
    asked: &Asked<'_>,
    source: &str,
    to: &str,
) -> Result<Option<Vec<Item>>, BuildFailure> {
    if let Some(address) = Address::parse(source) {
        let address = address.map_err(|error| located_as(step, error.into()))?;
        return Ok(Some(vec![Item::Later(repository(step, asked, address).await?)]));
    }
    if asked.keep_git_dir == Some(true) {
        return Err(located(step, "keep-git-dir can only be used with git sources").into());
    }
    if !is_address(source) {
        return Ok(None);
    }
    let unpack = asked.unpack == Some(true);
    let checksum = asked.checksum.map(|text| checksum(step, text)).transpose()?;
    if let (Some(digest), Some(name)) = (checksum, name_of(source))
        && digest.algorithm() == Algorithm::Sha256
    {
        // Nobody has to be asked what it is.
        let address = source.to_owned();
        return Ok(Some(vec![Item::Later(Later::File { address, name, digest, unpack })]));
    }
    let found = file(step, source).await?;
    if !found.is_named && to.ends_with('/') {
        return Err(located(step, &format!("cannot determine filename for source {source}"))
            .with_hint("name the file: let the destination end with a name instead of a slash")
            .into());
    }
    if let Some(digest) = checksum {
        let digests = match digest.algorithm() {
            Algorithm::Sha256 => found.digest,
            Algorithm::Sha512 => sha512(step, &found).await?,
        };
        verify(digests, digest)?;
    }
    Ok(Some(pieces(step, found, unpack).await?.into_iter().map(Item::Here).collect()))
}

async fn file(step: &Step<'_>, address: &str) -> Result<remote::Remote, Fault> {
    let shared = &step.session.shared;
    remote::file(&shared.inner, address, &shared.options).await
}

/// A failure at the place of an instruction.
fn located_as(step: &Step<'_>, fault: Fault) -> Fault {
    let located = located(step, fault.message());
    match fault.hint() {
        Some(hint) => located.with_hint(hint),
        None => located,
    }
}

/// A git repository, of which the commit is found out.
async fn repository(
    step: &Step<'_>,
    asked: &Asked<'_>,
    address: Address,
) -> Result<Later, BuildFailure> {
    let shared = &step.session.shared;
    let keeps = asked.keep_git_dir == Some(true) && address.directory.is_empty();
    if asked.keep_git_dir == Some(true) && !keeps {
        // As in BuildKit; there it goes without a word.
        let text = "--keep-git-dir means nothing for a directory of a repository: it has no .git"
            .to_owned();
        shared.warn("", text, step.statement.span.start).await;
    }
    let tip = git::commit(&shared.inner, &shared.options, &address).await?;
    if let Some(wanted) = asked.checksum {
        git::matches(wanted, tip.commit).map_err(|fault| located(step, fault.message()))?;
    }
    Ok(Later::Git { address, tip, keeps })
}

fn checksum(step: &Step<'_>, text: &str) -> Result<Digest, Fault> {
    text.parse::<Digest>().map_err(|error| {
        located(step, &format!("invalid checksum {text:?}: {error}"))
            .with_hint("write `--checksum=sha256:` and the 64 digits that `sha256sum` prints")
    })
}

fn verify(found: Digest, wanted: Digest) -> Result<(), Fault> {
    if found == wanted {
        return Ok(());
    }
    Err(Fault::invalid(format!("digest mismatch {found}: {wanted}")).with_hint(
        "what lies at the address is not what was meant, or the checksum is another one's",
    ))
}

async fn sha512(step: &Step<'_>, found: &remote::Remote) -> Result<Digest, Fault> {
    let sha256 = found.digest;
    step.session
        .shared
        .blocking(move |shared| {
            let failed = || "cannot read what was fetched".to_owned();
            let path = shared.inner.files.path(&sha256, remote::MODE);
            let mut file = std::fs::File::open(path).during(failed)?;
            let mut digester = Digester::new(Algorithm::Sha512);
            digester.read(&mut file).during(failed)?;
            Ok(digester.finish())
        })
        .await
}

/// A file of the network as something to be copied.
async fn pieces(step: &Step<'_>, found: remote::Remote, unpack: bool) -> Result<Vec<Piece>, Fault> {
    let work = move |_: &crate::build::Shared| {
        copy::find(&View::Context(found.context), &found.name, copy::Pattern::None, unpack)
    };
    step.session.shared.blocking(work).await
}

/// Pure: the name that a file gets from its address alone.
fn name_of(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next()?.split_once("://")?.1;
    let (_, last) = path.rsplit_once('/')?;
    // What is encoded is decoded by whoever fetches it.
    let plain = |name: &&str| !matches!(*name, "" | "." | "..") && !name.contains('%');
    Some(last).filter(plain).map(str::to_owned)
}

/// Pure: whether a source is a file of the network.
fn is_address(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}
