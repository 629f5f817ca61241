//! Acts: what is said of a build before anything is done.

use super::Shared;
use crate::{plan, remote};
use naru_oci::Platform;

impl Shared {
    /// Says it.
    pub(crate) async fn say_first(&self) {
        for problem in &self.file.warnings {
            self.warn("", problem.sentence(), problem.span.start).await;
        }
        let host = Platform::host();
        let unused = plan::not_consumed(&self.file, self.given(&host, &host));
        if !unused.is_empty() {
            let text = format!("One or more build-args [{}] were not consumed", unused.join(" "));
            self.warn("", text, 0).await;
        }
        let texts = [self.other_syntax(), self.capable()];
        for text in texts.into_iter().flatten().chain(self.unknown_settings()) {
            self.warn("", text, 0).await;
        }
    }

    /// The frontend that is asked for, when it is another one.
    fn other_syntax(&self) -> Option<String> {
        let asked = remote::setting(&self.options, remote::SYNTAX);
        let asked = asked.or(self.file.directives.syntax.as_deref())?;
        (!naru_dockerfile::is_dockerfile(asked)).then(|| {
            format!(
                "the syntax {asked} is not used: the file is read as one of docker/dockerfile, the only language that is known here"
            )
        })
    }

    /// Programs of the context that are more in it than they will be in the image.
    fn capable(&self) -> Option<String> {
        let mut capable = self.context.tree.capable();
        let first = String::from_utf8_lossy(capable.next()?).into_owned();
        let have = match capable.count() {
            0 => "has".to_owned(),
            count => format!("and {count} more of the context have"),
        };
        Some(format!(
            "`{first}` {have} capabilities, which no context gives to an image: set them there, with `RUN setcap`"
        ))
    }

    /// Arguments that other builders know, and that change nothing here.
    fn unknown_settings(&self) -> Vec<String> {
        let unknown = |name: &&String| {
            name.starts_with("BUILDKIT_") && !remote::SETTINGS.contains(&name.as_str())
        };
        let names = self.options.build_args.keys().filter(unknown);
        names.map(|name| format!("the build argument {name} changes nothing here")).collect()
    }
}
