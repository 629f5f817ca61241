//! Acts: the context of a build on its way to the daemon: for ours what it lacks of it, for another one all of it.

use super::file::{Dockerfile, Given, Place, archive};
use super::view::View;
use crate::build_context::ignored::Rules;
use crate::build_context::pack::{Failure, Piece, stream};
use crate::build_context::walk::{Found, Kind, Stamp, walk};
use crate::build_context::{Context, pack};
use crate::commands::image::archive::Source;
use crate::exit::Failed;
use crate::printer;
use crate::render::units;
use naru_api_types::build::{
    BUILD_BODY, Base64, BuildExtras, BuildLine, ContextAnnounced, DockerfileText,
};
use naru_client::{Client, Content};
use naru_errdefs::Fault;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The number that steps of our own have; the daemon counts from the other end.
pub(super) const OWN: u64 = u64::MAX;

/// A body, and why it may end early.
pub(super) struct Body {
    /// What is sent.
    pub(super) content: Content,
    /// Why it ended early.
    pub(super) failure: Option<Failure>,
}

/// The files of the context's directory without what is ignored, and the text that says what is.
pub(super) fn files(
    root: &Path,
    dockerfile: Option<&Dockerfile>,
) -> Result<(Vec<Found>, Option<Vec<u8>>), Fault> {
    let ignored = Dockerfile::ignored(dockerfile, root)?;
    let rules = Rules::parse(ignored.as_ref().map(|(path, text)| (path.as_path(), &**text)))?;
    let walked = walk(root, &|path, is_directory| rules.judge(path, is_directory))?;
    for note in &walked.notes {
        printer::note(&format!("warning: {note}"));
    }
    Ok((walked.files, ignored.map(|(_, text)| text)))
}

/// For our own daemon: announces a directory's files and sends those whose content it lacks.
pub(super) async fn ours(
    client: &Client,
    given: Given,
    mut extras: BuildExtras,
    view: &mut View,
) -> Result<Body, Failed> {
    extras.dockerfile = given
        .dockerfile
        .as_ref()
        .map(|file| DockerfileText { name: file.name.clone(), text: Base64::new(&file.text) });
    let mut failure = None;
    let bytes: Box<dyn AsyncRead + Send + Unpin> = match given.context {
        Place::Nothing | Place::Address(_) => Box::new(tokio::io::empty()),
        Place::Archive(head, rest) => Box::new(archive(head, rest)),
        Place::Directory(root) => {
            let Some(dockerfile) = &given.dockerfile else {
                return Err(Fault::internal(
                    "a directory without a Dockerfile was taken for a context",
                )
                .into());
            };
            let began = Instant::now();
            view.line(&BuildLine::Started {
                vertex: OWN,
                name: "[internal] load build context".to_owned(),
            })?;
            let (found, ignored) = files(&root, Some(dockerfile))?;
            extras.ignore_file = Some(Base64::new(&ignored.unwrap_or_default()));
            let count = found.len();
            let context = Context::read(root.clone(), found)?;
            let packed = match context.announced() {
                Some(files) => {
                    let answer = client.announce_context(&files).await?;
                    let sent = context.size_of(&answer.missing);
                    tell(view, OWN, count, (context.size(), sent))?;
                    extras.context = Some(ContextAnnounced { id: answer.id });
                    context.pack(&answer.missing)?
                }
                // Names that JSON cannot hold.
                None => {
                    tell(view, OWN, count, (context.size(), context.size()))?;
                    stream(&root, context.into_pieces())?
                }
            };
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            view.line(&BuildLine::Done { vertex: OWN, cached: false, took, error: None })?;
            failure = Some(packed.failure());
            Box::new(Source::from_file(packed.bytes))
        }
    };
    let mut line = serde_json::to_vec(&extras)
        .map_err(|error| Fault::internal("cannot write the request").with_source(error))?;
    line.push(b'\n');
    let content = Content::typed(BUILD_BODY, Cursor::new(line).chain(bytes));
    Ok(Body { content, failure })
}

pub(super) fn tell(
    view: &mut View,
    vertex: u64,
    files: usize,
    (size, sent): (u64, u64),
) -> Result<(), Failed> {
    let shown = |count: u64| units::human_size(i64::try_from(count).unwrap_or(i64::MAX));
    let text = format!("{files} files, {}; transferring {}\n", shown(size), shown(sent));
    view.line(&BuildLine::Output { vertex, stderr: false, text })
}

/// For another daemon: everything as one archive, with the Dockerfile in it. Answers the path of the Dockerfile there.
pub(super) fn theirs(given: Given) -> Result<(Body, Option<String>), Fault> {
    let plain = |content| Body { content, failure: None };
    match (given.context, given.dockerfile) {
        (Place::Address(_), _) => Ok((plain(Content::None), given.named)),
        (Place::Archive(head, rest), _) => {
            Ok((plain(Content::reader(archive(head, rest))), given.named))
        }
        (Place::Nothing, Some(file)) => {
            let packed =
                stream(Path::new("/"), vec![inserted(Path::new("Dockerfile"), file.text)])?;
            Ok((packed_body(packed), Some("Dockerfile".to_owned())))
        }
        (Place::Directory(root), Some(file)) => {
            let (found, _) = files(&root, Some(&file))?;
            let below = file.below(&root);
            let mut pieces: Vec<Piece> = found
                .into_iter()
                .map(|found| Piece { name: found.path.clone(), found, follow: None })
                .collect();
            // What was left out here is not to be left out once more, by other rules.
            pieces.retain(|piece| piece.name != Path::new(".dockerignore"));
            let path = match below {
                Some(path) => path,
                None => PathBuf::from(format!(".dockerfile.{}", std::process::id())),
            };
            if !pieces.iter().any(|piece| piece.name == path) {
                pieces.push(inserted(&path, file.text));
            }
            let path = path.to_str().map(str::to_owned).ok_or_else(|| {
                Fault::invalid(format!(
                    "the name of the Dockerfile `{}` is not UTF-8",
                    path.display()
                ))
            })?;
            Ok((packed_body(stream(&root, pieces)?), Some(path)))
        }
        (Place::Nothing | Place::Directory(_), None) => {
            Err(Fault::internal("a build without a Dockerfile was begun"))
        }
    }
}

fn packed_body(packed: pack::Packed) -> Body {
    let failure = Some(packed.failure());
    Body { content: Content::reader(Source::from_file(packed.bytes)), failure }
}

/// A file of the archive that is none of the directory.
fn inserted(name: &Path, text: Vec<u8>) -> Piece {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let found = Found {
        path: name.to_owned(),
        kind: Kind::File,
        mode: 0o100_600,
        size: text.len() as u64,
        modified: i64::try_from(now.as_nanos()).unwrap_or(0),
        stamp: Stamp { device: 0, inode: 0, changed: 0 },
        attributes: Vec::new(),
    };
    Piece { name: name.to_owned(), found, follow: Some(text) }
}
