//! Acts: `load`, `save` and `import`: archives from and to files and pipes.

use super::directory;
use super::transfer::{Show, show};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::{printer, terminal};
use naru_api_types::Query;
use naru_client::{Answer, Content};
use naru_errdefs::Fault;
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};

pub(super) fn load(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let archive = match flags.text("input") {
        None => {
            if terminal::stdin_is_terminal() {
                return Err(Fault::invalid("requested load from stdin, but stdin is empty")
                    .with_hint("name the archive with `-i FILE`, or pipe it in")
                    .into());
            }
            Source::stdin()
        }
        Some(path) => Source::open(path)?,
    };
    app.talk(async |client| {
        // Progress is for people; a pipe gets the result only, as in docker.
        let quiet = flags.switch("quiet") || !printer::stdout_is_terminal();
        let lines = client.load_images(Content::reader(archive), quiet).await?;
        show(lines, Show::Out).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

pub(super) fn import(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let source = flags.arg(0);
    if source.starts_with("http://") || source.starts_with("https://") {
        return Err(Fault::unsupported("importing from a URL is not supported yet")
            .with_hint("fetch the archive first and pipe it in: `curl URL | naru import - NAME`")
            .into());
    }
    let archive = if source == "-" { Source::stdin() } else { Source::open(source)? };
    let mut query = Query::new()
        .with("fromSrc", "-")
        .with_some("message", flags.text("message"))
        .with_some("platform", flags.text("platform"))
        .with_some("repo", flags.args().get(1).cloned());
    for change in flags.list("change") {
        query = query.with("changes", change);
    }
    app.talk(async |client| {
        show(client.import_image(Content::reader(archive), &query).await?, Show::Out).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

pub(super) fn save(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let format = flags.text("format");
    if let Some(format) = format
        && !["docker", "oci"].contains(&format)
    {
        return Err(Fault::invalid(format!("unknown archive format `{format}`"))
            .with_hint("the formats are `docker` and `oci`")
            .into());
    }
    let target = Target::choose(flags.text("output"))?;
    app.talk(async |client| {
        let answer = client.save_images(flags.args(), &[], format).await?;
        target.fill(answer).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// Where an archive comes from: a file, standard input, or a directory as a tar made on the way.
pub(crate) struct Source(Option<std::fs::File>);

impl Source {
    /// Standard input.
    pub(crate) fn stdin() -> Source {
        use std::os::fd::AsFd;
        // Without a standard input there is nothing to read.
        Source(io::stdin().as_fd().try_clone_to_owned().ok().map(std::fs::File::from))
    }

    /// An open file or pipe.
    pub(crate) fn from_file(file: std::fs::File) -> Source {
        Source(Some(file))
    }

    /// A file, or a directory.
    pub(crate) fn open(path: &str) -> Result<Source, Fault> {
        let failed = |error| Fault::io(format!("open {path}: cannot read the archive"), error);
        let file = std::fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Ok(Source(Some(directory::stream(Path::new(path))?)));
        }
        Ok(Source(Some(file)))
    }
}

/// Reads block the one thread there is, which has nothing else to do: the daemon takes the archive as fast as it can.
impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(file) = &mut self.0 {
            let count = io::Read::read(file, buffer.initialize_unfilled())?;
            buffer.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// Where an archive goes to.
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A file that takes its name once it is whole.
    File {
        /// The name it takes.
        path: PathBuf,
        /// The name it has until then.
        part: PathBuf,
        /// The open file.
        file: RefCell<std::fs::File>,
    },
}

impl Target {
    /// A file, or standard output unless that is a terminal.
    pub(crate) fn choose(path: Option<&str>) -> Result<Target, Fault> {
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            if printer::stdout_is_terminal() {
                return Err(Fault::invalid("cowardly refusing to save to a terminal")
                    .with_hint("use `-o FILE`, or redirect the output"));
            }
            return Ok(Target::Stdout);
        };
        let path = Path::new(path);
        if path.is_dir() {
            return Err(Fault::invalid(format!("`{}` is a directory", path.display())));
        }
        // A device or a pipe is written in place.
        if path.exists() && !path.is_file() {
            let file = std::fs::File::options()
                .write(true)
                .open(path)
                .map_err(|error| Fault::io(format!("cannot write `{}`", path.display()), error))?;
            return Ok(Target::File {
                path: path.to_owned(),
                part: path.to_owned(),
                file: file.into(),
            });
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = path.with_file_name(name);
        let file = std::fs::File::options()
            .write(true)
            .create_new(true)
            .open(&part)
            .map_err(|error| Fault::io(format!("cannot write `{}`", path.display()), error))?;
        Ok(Target::File { path: path.to_owned(), part, file: file.into() })
    }

    /// Writes an answer's body.
    pub(crate) async fn fill(self, mut answer: Answer) -> Result<(), Failed> {
        while let Some(piece) = answer.piece().await? {
            match &self {
                Target::Stdout => printer::raw_out(&piece)?,
                Target::File { path, file, .. } => {
                    file.borrow_mut().write_all(&piece).map_err(|error| {
                        Fault::io(format!("cannot write `{}`", path.display()), error)
                    })?;
                }
            }
        }
        if let Target::File { path, part, .. } = &self
            && path != part
        {
            std::fs::rename(part, path)
                .map_err(|error| Fault::io(format!("cannot write `{}`", path.display()), error))?;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Target::File { path, part, .. } = self
            && path != part
        {
            // Gone already when it took its name; half an archive helps nobody.
            std::fs::remove_file(part).ok();
        }
    }
}
