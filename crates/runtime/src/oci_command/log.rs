//! Acts: the log file that an engine reads the reason of a failure from.

use super::arguments::Arguments;
use super::{io, time};
use naru_errdefs::Fault;
use std::fs::File;
use std::io::Write;

/// Where failures are written, and how.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<File>,
    json: bool,
}

impl Log {
    pub(super) fn open(&mut self, options: &Arguments) -> Result<(), Fault> {
        self.json = match options.value("log-format") {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => {
                return Err(Fault::invalid(format!("`{other}` is not a log format"))
                    .with_hint("use `text` or `json`"));
            }
        };
        if let Some(path) = options.value("log") {
            let opened = File::options().append(true).create(true).open(path);
            self.file = Some(opened.map_err(io(format!("cannot open the log `{path}`")))?);
        }
        Ok(())
    }

    pub(super) fn error(&mut self, fault: &Fault) {
        let Some(file) = &mut self.file else { return };
        let text = naru_errdefs::one_line(fault);
        let line = if self.json {
            serde_json::json!({"level": "error", "msg": text, "time": time::now()}).to_string()
        } else {
            format!("time=\"{}\" level=error msg={text:?}", time::now())
        };
        // The error itself goes to standard error as well, so a full disk loses nothing.
        drop(writeln!(file, "{line}"));
    }
}
