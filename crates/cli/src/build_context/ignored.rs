//! Pure: what an ignore file leaves out of a context.

use super::walk::Verdict;
use naru_dockerfile::ignore::Patterns;
use naru_errdefs::Fault;
use std::path::Path;

/// Judges paths by the rules of an ignore file.
#[derive(Debug, Default)]
pub struct Rules(Option<Patterns>);

impl Rules {
    /// Reads an ignore file of this name; without one nothing is left out.
    pub fn parse(file: Option<(&Path, &[u8])>) -> Result<Rules, Fault> {
        let Some((path, text)) = file else { return Ok(Rules::default()) };
        let patterns = Patterns::parse(text).map_err(|error| {
            Fault::invalid(format!("cannot read the ignore file `{}`: {error}", path.display()))
        })?;
        Ok(Rules(Some(patterns)))
    }

    /// What becomes of a path below the context.
    pub fn judge(&self, path: &Path, is_directory: bool) -> Verdict {
        let Some(patterns) = &self.0 else { return Verdict::Keep };
        // Rules are text; what is none is not meant by any.
        let Some(path) = path.to_str() else { return Verdict::Keep };
        if !patterns.is_ignored(path) {
            Verdict::Keep
        } else if is_directory && patterns.may_except_below(path) {
            Verdict::Look
        } else {
            Verdict::Leave
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_keep_directories_from_being_passed_over() {
        let text = b"node_modules\n*.log\n!node_modules/keep\ndocs\n";
        let rules = Rules::parse(Some((Path::new("x"), text))).unwrap();
        for (path, is_directory, verdict) in [
            ("a", false, Verdict::Keep),
            ("a.log", false, Verdict::Leave),
            ("node_modules", true, Verdict::Look),
            ("node_modules/x", false, Verdict::Leave),
            ("node_modules/keep", true, Verdict::Keep),
            ("docs", true, Verdict::Leave),
        ] {
            assert_eq!(rules.judge(Path::new(path), is_directory), verdict, "{path}");
        }
        assert_eq!(Rules::default().judge(Path::new("a"), true), Verdict::Keep);
        assert!(Rules::parse(Some((Path::new("x"), b"[a"))).is_err());
    }
}
