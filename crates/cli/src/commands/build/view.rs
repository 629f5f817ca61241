//! Acts: shows a build as it goes on.

use crate::exit::Failed;
use crate::flags::Flags;
use crate::render::build::Steps;
use crate::render::build::plain::Plain;
use crate::render::build::tty::{Picture, Size};
use crate::{context, printer, terminal};
use naru_api_types::build::BuildLine;
use naru_errdefs::Fault;
use std::time::{Duration, Instant};

/// How often a picture is drawn at most.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How a build is shown.
#[derive(Debug)]
pub(super) struct View {
    form: Form,
    began: Instant,
    drawn: Option<Instant>,
}

#[derive(Debug)]
enum Form {
    Quiet(Steps),
    Plain(Plain),
    Tty(Picture),
    Json(Steps, bool),
}

impl View {
    /// As the flags say. `stdout` is whether standard output is free for words.
    pub(super) fn of(flags: &Flags, stdout: bool) -> Result<View, Fault> {
        let asked = flags.text("progress").map(str::to_owned);
        let asked = asked.or_else(|| context::variable("BUILDKIT_PROGRESS")).unwrap_or_default();
        let form = match asked.as_str() {
            _ if flags.switch("quiet") => Form::Quiet(Steps::default()),
            "" | "auto" if printer::stderr_is_terminal() => Form::Tty(Picture::default()),
            "" | "auto" | "plain" => Form::Plain(Plain::default()),
            "tty" if printer::stderr_is_terminal() => Form::Tty(Picture::default()),
            "tty" => {
                return Err(Fault::invalid("failed to get console: standard error is no terminal")
                    .with_hint("use `--progress=plain`, or leave it out"));
            }
            "json" | "rawjson" => Form::Json(Steps::default(), stdout),
            "quiet" | "none" => Form::Quiet(Steps::default()),
            other => {
                return Err(Fault::invalid(format!("invalid progress mode {other}"))
                    .with_hint("the modes are `auto`, `plain`, `tty`, `json` and `quiet`"));
            }
        };
        Ok(View { form, began: Instant::now(), drawn: None })
    }

    /// The build so far.
    pub(super) fn steps(&self) -> &Steps {
        match &self.form {
            Form::Quiet(steps) | Form::Json(steps, _) => steps,
            Form::Plain(plain) => plain.steps(),
            Form::Tty(picture) => picture.steps(),
        }
    }

    /// Whether it has to be drawn again although nothing was said.
    pub(super) fn moves(&self) -> bool {
        matches!(self.form, Form::Tty(_))
    }

    /// Shows a line.
    pub(super) fn line(&mut self, line: &BuildLine) -> Result<(), Failed> {
        let now = self.began.elapsed();
        match &mut self.form {
            Form::Quiet(steps) => {
                steps.apply(line, now);
            }
            Form::Plain(plain) => printer::raw_err(plain.line(line, now).as_bytes()),
            Form::Tty(picture) => {
                picture.line(line, now);
                if self.drawn.is_none_or(|drawn| drawn.elapsed() >= TICK) {
                    self.draw(false);
                }
            }
            Form::Json(steps, stdout) => {
                steps.apply(line, now);
                let mut text = serde_json::to_string(line).unwrap_or_default();
                text.push('\n');
                if *stdout {
                    printer::out(&text)?;
                } else {
                    printer::raw_err(text.as_bytes());
                }
            }
        }
        Ok(())
    }

    /// Draws the picture again.
    pub(super) fn draw(&mut self, last: bool) {
        let now = self.began.elapsed();
        if let Form::Tty(picture) = &mut self.form {
            let (rows, columns) = terminal::size().unwrap_or((24, 80));
            let size = Size { rows: rows.into(), columns: columns.into() };
            printer::raw_err(picture.draw(now, size, last).as_bytes());
            self.drawn = Some(Instant::now());
        }
    }

    /// The end: the last picture, what the step that failed wrote, and what was made.
    pub(super) fn end(&mut self) {
        let now = self.began.elapsed();
        self.draw(true);
        if let Form::Plain(plain) = &mut self.form {
            printer::raw_err(plain.rest().as_bytes());
        }
        match &self.form {
            Form::Json(..) => {}
            Form::Quiet(steps) => printer::raw_err(steps.report().as_bytes()),
            Form::Plain(_) | Form::Tty(_) => {
                let steps = self.steps();
                printer::raw_err((steps.report() + &steps.summary(now)).as_bytes());
            }
        }
    }
}
