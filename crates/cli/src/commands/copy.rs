//! Acts: `copy`: an image from one place to another. Files and directories are ours; everything else the daemon reaches.

pub(super) mod layout;

use super::image::archive::{Source, Target};
use super::image::transfer::{Show, show_to_the_end};
use super::registry::Registries;
use super::{Action, Arguments, BASE, Command};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::{Flag, Flags, switch, switch_on, value};
use crate::opts::place::{self, Typed};
use crate::opts::{OptError, memory};
use crate::printer;
use naru_api_types::Query;
use naru_api_types::copy::{CONTENT_DIGEST, SOURCE_AUTH};
use naru_api_types::registry::{AuthConfig, REGISTRY_AUTH};
use naru_client::{Answer, Content};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Platform, Reference};
use std::path::Path;

const AUTHFILE: &str =
    "credentials are those of docker's config.json; name its directory with `--config`";
const CERTIFICATES: &str = "put certificates into the daemon's certs.d, one directory a registry";
const AS_THEY_ARE: &str = "a copy is byte for byte what its source is; digests stay the same";
const SIGNATURES: &str = "signatures are not made or checked; compare digests";

const COPY_FLAGS: &[Flag] = &[
    switch("all", "Copy everything that an index lists, not one platform").short('a'),
    value("additional-tag", "tag", "Further tags").refused("copy once more; nothing is sent twice"),
    value("authfile", "path", "File with credentials").refused(AUTHFILE),
    value("creds", "user[:password]", "Credentials at either registry"),
    value("dest-authfile", "path", "File with credentials").refused(AUTHFILE),
    value("dest-cert-dir", "path", "Certificates for the destination").refused(CERTIFICATES),
    switch("dest-compress", "Compress layers").refused(AS_THEY_ARE),
    value("dest-compress-format", "format", "Compress layers").refused(AS_THEY_ARE),
    value("dest-creds", "user[:password]", "Credentials at the registry that is copied to"),
    switch("dest-decompress", "Decompress layers").refused(AS_THEY_ARE),
    switch("dest-no-creds", "Be nobody at the registry that is copied to"),
    switch_on("dest-tls-verify", "Check the certificate of the registry that is copied to"),
    value("digestfile", "path", "Write the digest of what was copied into a file"),
    value("encryption-key", "key", "Encrypt layers").refused(AS_THEY_ARE),
    value("format", "type", "Convert manifests").short('f').refused(AS_THEY_ARE),
    value("limit-rate", "bytes", "Bytes a second at most (as 500k or 10m)"),
    value("multi-arch", "all|system", "What of an index is copied")
        .refused("use `--all`, or `--platform`"),
    value("platform", "os/arch", "Copy the image for another platform than the daemon's"),
    switch("preserve-digests", "Keep digests, which a copy always does").no_effect(),
    switch("quiet", "Suppress progress").short('q'),
    switch("remove-signatures", "Do not copy signatures, which a copy never does").no_effect(),
    value("sign-by", "key", "Sign the copy").refused(SIGNATURES),
    value("sign-by-sigstore", "path", "Sign the copy").refused(SIGNATURES),
    value("src-authfile", "path", "File with credentials").refused(AUTHFILE),
    value("src-cert-dir", "path", "Certificates for the source").refused(CERTIFICATES),
    value("src-creds", "user[:password]", "Credentials at the registry that is copied from"),
    switch("src-no-creds", "Be nobody at the registry that is copied from"),
    switch_on("src-tls-verify", "Check the certificate of the registry that is copied from"),
];

pub(super) static COPY: Command = Command {
    name: "copy",
    spellings: &["copy", "image copy"],
    usage: "[OPTIONS] SOURCE DESTINATION",
    about: "Copy an image between registries, archives, layouts and the store.\nPlaces are docker://NAME, store:NAME, docker-archive:PATH[:NAME], oci-archive:PATH[:NAME] and oci:DIRECTORY[:NAME].",
    flags: &[COPY_FLAGS],
    arguments: Arguments::Exactly(2),
    action: Action::Run(copy),
    ..BASE
};

fn copy(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let (from, to) = (typed(flags.arg(0))?, typed(flags.arg(1))?);
    if flags.switch("all") && matches!(to, Typed::DockerArchive(..)) {
        return Err(Fault::unsupported("an archive of docker's form holds one platform")
            .with_hint("copy to `oci-archive:`, or leave out `--all`")
            .into());
    }
    let platform = flags.text("platform").map(str::parse::<Platform>).transpose();
    let platform = platform.map_err(Fault::from)?.map(|platform| platform.to_string());
    let rate = flags.parsed("limit-rate", |text| match memory::parse(text)? {
        rate if rate > 0 => Ok(rate),
        _ => Err(OptError::new("the rate must be more than 0")),
    })?;
    let query = Query::new()
        .with("source", from.place().to_string())
        .with("destination", to.place().to_string())
        .with_flag("all", flags.switch("all"))
        .with_flag("source-insecure", !flags.switch("src-tls-verify"))
        .with_flag("destination-insecure", !flags.switch("dest-tls-verify"))
        .with_some("platform", platform)
        .with_some("limit-rate", rate.map(|rate| rate.to_string()));
    let registries = Registries::of(app)?;
    let mut headers = Vec::new();
    for (place, side, name) in [(&from, "src", SOURCE_AUTH), (&to, "dest", REGISTRY_AUTH)] {
        if let Typed::Registry(reference) = place {
            headers.push((name, credentials(flags, side, reference, &registries)?));
        }
    }
    let body = match &from {
        Typed::DockerArchive(path, _) | Typed::OciArchive(path, _) | Typed::Layout(path, _) => {
            Content::reader(match path.as_str() {
                "-" => Source::stdin(),
                path => Source::open(path)?,
            })
        }
        Typed::Registry(_) | Typed::Store(_) => Content::None,
    };
    let place = Wanted::prepare(&to)?;
    let quiet = flags.switch("quiet");
    let digest = app.talk(async |client| {
        let answer = client.copy_image(&query, headers, body).await?;
        place.take(answer, if quiet { Show::Nowhere } else { Show::Out }).await
    })?;
    if let Some(path) = flags.text("digestfile") {
        write_digest(Path::new(path), &digest)?;
    }
    Ok(ExitStatus::SUCCESS)
}

fn typed(text: &str) -> Result<Typed, Failed> {
    place::parse(text).map_err(|error| {
        let fault = Fault::invalid(error.message);
        match error.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
        .into()
    })
}

/// Who we are at a registry: as the command line says, or else as the user's configuration does.
fn credentials(
    flags: &Flags,
    side: &str,
    reference: &str,
    registries: &Registries,
) -> Result<String, Failed> {
    if flags.switch(&format!("{side}-no-creds")) {
        return Ok(AuthConfig::default().encode());
    }
    let given = flags.text(&format!("{side}-creds")).or_else(|| flags.text("creds"));
    if let Some(given) = given {
        let (username, password) = given.split_once(':').ok_or_else(|| {
            Fault::invalid("credentials without a password")
                .with_hint("write `USER:PASSWORD`, or log in with `naru login`")
        })?;
        return Ok(AuthConfig {
            username: username.to_owned(),
            password: password.to_owned(),
            ..AuthConfig::default()
        }
        .encode());
    }
    let reference: Reference = reference.parse().map_err(Fault::from)?;
    Ok(registries.header(reference.registry()))
}

/// What becomes of the answer.
enum Wanted {
    Lines,
    File(Target),
    Layout(layout::Layout),
}

impl Wanted {
    /// Before anything is moved: a destination that cannot be written is known at once.
    fn prepare(to: &Typed) -> Result<Wanted, Failed> {
        Ok(match to {
            Typed::Registry(_) | Typed::Store(_) => Wanted::Lines,
            Typed::DockerArchive(path, _) | Typed::OciArchive(path, _) => Wanted::File(
                Target::choose(Some(path).filter(|path| *path != "-").map(String::as_str))?,
            ),
            Typed::Layout(path, _) => Wanted::Layout(layout::Layout::open(Path::new(path))?),
        })
    }

    /// Takes what the daemon answers, and says which manifest it was.
    async fn take(self, answer: Answer, progress: Show) -> Result<String, Failed> {
        let said = answer.header(CONTENT_DIGEST).map(str::to_owned);
        let unsaid = || Fault::new(Kind::Internal, "the daemon does not say what it copied");
        match self {
            Wanted::Lines => {
                let aux = show_to_the_end(answer.lines(), progress).await?;
                let digest = aux.as_ref().and_then(|aux| aux.get("Digest")?.as_str());
                Ok(digest.ok_or_else(unsaid)?.to_owned())
            }
            Wanted::File(target) => {
                let to_stdout = matches!(target, Target::Stdout);
                target.fill(answer).await?;
                let digest = said.ok_or_else(unsaid)?;
                if progress == Show::Out && !to_stdout {
                    printer::out(&format!("Digest: {digest}\n"))?;
                }
                Ok(digest)
            }
            Wanted::Layout(layout) => {
                layout.fill(answer).await?;
                let digest = said.ok_or_else(unsaid)?;
                if progress == Show::Out {
                    printer::out(&format!("Digest: {digest}\n"))?;
                }
                Ok(digest)
            }
        }
    }
}

fn write_digest(path: &Path, digest: &str) -> Result<(), Fault> {
    use std::io::Write;
    std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(digest.as_bytes()))
        .map_err(|error| Fault::io(format!("cannot write `{}`", path.display()), error))
}
