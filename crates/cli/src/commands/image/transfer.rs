//! Acts: `pull` and `push`, and the pull that `run` and `create` do by themselves.

use crate::commands::registry::Registries;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::memory;
use crate::render::progress;
use crate::{printer, terminal};
use naru_api_types::Query;
use naru_api_types::progress::ProgressLine;
use naru_client::{Client, Lines};
use naru_errdefs::Fault;
use naru_oci::{Platform, Reference};

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// On standard output.
    Out,
    /// On standard error, where standard output is for something else.
    Err,
    /// Nowhere.
    Nowhere,
}

pub(super) fn pull(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let quiet = flags.switch("quiet");
    let (reference, all_tags) = named(flags, quiet)?;
    let what = Pull {
        reference: &reference,
        all_tags,
        platform: flags.text("platform").filter(|platform| !platform.is_empty()),
        limit_rate: rate(flags)?,
    };
    let registries = Registries::of(app)?;
    app.talk(async |client| {
        what.run(client, &registries, if quiet { Show::Nowhere } else { Show::Out }).await?;
        printer::out(&format!("{reference}\n"))?;
        Ok(ExitStatus::SUCCESS)
    })
}

pub(super) fn push(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let quiet = flags.switch("quiet");
    let (reference, all_tags) = named(flags, quiet)?;
    if reference.digest().is_some() {
        return Err(Fault::invalid("cannot push a digest reference")
            .with_hint("give the image a tag with `naru tag`, and push that")
            .into());
    }
    let platform = flags
        .text("platform")
        .map(|text| {
            let platform: Platform = text.parse()?;
            serde_json::to_string(&platform)
                .map_err(|error| Fault::internal("cannot write JSON").with_source(error))
        })
        .transpose()?;
    let tag = reference.tag().filter(|_| !all_tags);
    let query = Query::new()
        .with_some("limit-rate", rate(flags)?)
        .with_some("platform", platform)
        .with_some("tag", tag);
    let registries = Registries::of(app)?;
    app.talk(async |client| {
        let auth = registries.header(reference.registry());
        let lines = client.push_image(&reference.name(), &query, auth).await?;
        show(lines, if quiet { Show::Nowhere } else { Show::Out }).await?;
        if quiet {
            printer::out(&format!("{reference}\n"))?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// The image that is meant, and whether all its tags are.
fn named(flags: &Flags, quiet: bool) -> Result<(Reference, bool), Failed> {
    let reference: Reference = flags.arg(0).parse().map_err(Fault::from)?;
    let is_bare = reference.tag().is_none() && reference.digest().is_none();
    let all_tags = flags.switch("all-tags");
    if all_tags && !is_bare {
        return Err(Fault::invalid("tag can't be used with --all-tags/-a").into());
    }
    if all_tags || !is_bare {
        return Ok((reference, all_tags));
    }
    if !quiet {
        printer::out("Using default tag: latest\n")?;
    }
    Ok((reference.or_latest(), false))
}

fn rate(flags: &Flags) -> Result<Option<String>, Failed> {
    let rate = flags.parsed("limit-rate", |text| match memory::parse(text)? {
        rate if rate > 0 => Ok(rate),
        _ => Err(crate::opts::OptError::new("the rate must be more than 0")),
    })?;
    Ok(rate.map(|rate| rate.to_string()))
}

/// A pull.
#[derive(Debug, Clone)]
pub(crate) struct Pull<'a> {
    /// The image.
    pub(crate) reference: &'a Reference,
    /// Every tag of it.
    pub(crate) all_tags: bool,
    /// Another platform than the daemon's.
    pub(crate) platform: Option<&'a str>,
    /// Bytes a second.
    pub(crate) limit_rate: Option<String>,
}

impl Pull<'_> {
    /// Lets the daemon pull.
    pub(crate) async fn run(
        self,
        client: &Client,
        registries: &Registries,
        progress: Show,
    ) -> Result<(), Failed> {
        let digest = self.reference.digest().map(|digest| digest.to_string());
        let tag = match (digest, self.reference.tag()) {
            _ if self.all_tags => None,
            (Some(digest), _) => Some(digest),
            (None, tag) => Some(tag.unwrap_or("latest").to_owned()),
        };
        let query = Query::new()
            .with("fromImage", self.reference.name())
            .with_some("limit-rate", self.limit_rate)
            .with_some("platform", self.platform.map(str::to_ascii_lowercase))
            .with_some("tag", tag);
        let auth = registries.header(self.reference.registry());
        show(client.pull_image(&query, auth).await?, progress).await
    }
}

/// Shows progress as it comes; an error in it is ours.
pub(crate) async fn show(lines: Lines, progress: Show) -> Result<(), Failed> {
    show_to_the_end(lines, progress).await.map(drop)
}

/// The same, with what the last line has for programs.
pub(crate) async fn show_to_the_end(
    mut lines: Lines,
    progress: Show,
) -> Result<Option<serde_json::Value>, Failed> {
    let mut last = None;
    let terminal = match progress {
        Show::Out => printer::stdout_is_terminal(),
        Show::Err => printer::stderr_is_terminal(),
        Show::Nowhere => false,
    };
    let mut board = progress::Board::default();
    while let Some(line) = lines.next::<ProgressLine>().await? {
        last = line.aux.clone().or(last);
        if let Some(fault) = line.failure() {
            return Err(fault.into());
        }
        let text = if terminal {
            board.update(&line, terminal::size().map(|(_, columns)| columns))
        } else {
            progress::show(&line)
        };
        match (text, progress) {
            (Some(text), Show::Out) => printer::out(&text)?,
            (Some(text), Show::Err) => printer::raw_err(text.as_bytes()),
            _ => {}
        }
    }
    Ok(last)
}
