//! Acts on a context: takes away what an ignore file leaves out, and remembers why.

use crate::context::BuildContext;
use naru_dockerfile::ignore::Patterns;
use naru_errdefs::Fault;
use std::sync::Arc;

/// The longest ignore file that is read.
const LONGEST: u64 = 4 << 20;

/// What an ignore file leaves out, to explain why something is missing.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    patterns: Option<Patterns>,
}

impl Ignored {
    /// The rules.
    pub(crate) fn patterns(&self) -> Option<&Patterns> {
        self.patterns.as_ref()
    }

    /// The rule that leaves a path out.
    pub(crate) fn rule(&self, path: &str) -> Option<String> {
        let patterns = self.patterns.as_ref()?;
        let path = path.trim_start_matches("./").trim_matches('/');
        patterns.rule_for(path).map(str::to_owned)
    }
}

/// Takes away what an ignore file says: the given one, else the Dockerfile's own (`NAME.dockerignore`), or `.dockerignore`.
pub(crate) fn apply(
    context: &BuildContext,
    dockerfile: &str,
    given: Option<&[u8]>,
) -> Result<(BuildContext, Ignored), Fault> {
    let own = format!("{dockerfile}.dockerignore");
    let text = match given {
        Some(text) => Some(text.to_vec()),
        None => match context.read(&own, LONGEST)? {
            Some(text) => Some(text),
            None => context.read(".dockerignore", LONGEST)?,
        },
    };
    let Some(text) = text else { return Ok((context.clone(), Ignored::default())) };
    let patterns = Patterns::parse(&text)
        .map_err(|error| Fault::invalid(format!("the ignore file cannot be read: {error}")))?;
    let kept = context
        .without(|path, _| std::str::from_utf8(path).is_ok_and(|path| patterns.is_ignored(path)));
    Ok((kept, Ignored { patterns: Some(patterns) }))
}

/// The patterns of `--exclude`, ready to be asked.
#[expect(clippy::type_complexity, reason = "it is one function, behind a pointer")]
pub(crate) fn excludes(
    list: &[String],
) -> Result<Option<Arc<dyn Fn(&[u8], bool) -> bool + Send + Sync>>, String> {
    if list.is_empty() {
        return Ok(None);
    }
    let patterns =
        Patterns::parse(list.join("\n").as_bytes()).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(move |path: &[u8], _is_directory| {
        std::str::from_utf8(path).is_ok_and(|path| patterns.is_ignored(path))
    })))
}
