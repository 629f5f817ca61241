//! The sections `retention` and `quotas` of the configuration. Pure.

use crate::access::pattern::Pattern;
use crate::config::Period;
use naru_errdefs::Fault;
use serde::Deserialize;

/// Which tags of some repositories are kept. A tag stays when any of the reasons holds; a rule without reasons is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetentionRule {
    /// Patterns of repositories; the first rule that matches one decides.
    pub repositories: Vec<String>,
    /// So many tags, those pointed last.
    pub keep_newest: Option<usize>,
    /// Tags of these forms (`*` stands for any characters).
    pub keep_tags: Vec<String>,
    /// Tags that were pointed so short a time ago.
    pub keep_younger_than: Option<Period>,
    /// Tags that were pulled, or pointed, so short a time ago.
    pub keep_pulled_within: Option<Period>,
}

/// How much a repository may hold. The first rule that matches one decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QuotaRule {
    /// Patterns of repositories.
    pub repositories: Vec<String>,
    /// Bytes of its distinct blobs and manifests.
    pub bytes: Option<u64>,
    /// How many manifests and indexes.
    pub manifests: Option<u64>,
    /// How many tags.
    pub tags: Option<u64>,
}

impl RetentionRule {
    /// Whether the rule makes sense.
    pub fn validate(&self) -> Result<(), Fault> {
        patterns(&self.repositories)?;
        if self.keep_newest.is_none()
            && self.keep_tags.is_empty()
            && self.keep_younger_than.is_none()
            && self.keep_pulled_within.is_none()
        {
            return Err(Fault::invalid(format!(
                "the retention rule of {:?} keeps nothing",
                self.repositories
            ))
            .with_hint(
                "say what stays: keep-newest, keep-tags, keep-younger-than or keep-pulled-within",
            ));
        }
        Ok(())
    }
}

impl QuotaRule {
    /// Whether the rule makes sense.
    pub fn validate(&self) -> Result<(), Fault> {
        patterns(&self.repositories)?;
        if self.bytes.is_none() && self.manifests.is_none() && self.tags.is_none() {
            return Err(Fault::invalid(format!(
                "the quota of {:?} limits nothing",
                self.repositories
            ))
            .with_hint("name the limit: bytes, manifests or tags"));
        }
        Ok(())
    }
}

fn patterns(texts: &[String]) -> Result<(), Fault> {
    if texts.is_empty() {
        return Err(Fault::invalid("a rule names no repositories").with_hint("write `**` for all"));
    }
    texts.iter().try_for_each(|text| Pattern::parse(text).map(|_| ()))
}

/// Whether one of the patterns is that of a repository. Invalid ones, which are refused when they are read, match nothing.
pub(super) fn applies(texts: &[String], repository: &str) -> bool {
    texts
        .iter()
        .filter_map(|text| Pattern::parse(text).ok())
        .any(|pattern| pattern.matches(None, repository))
}

/// Whether a tag has a form; `*` stands for any characters. Linear memory, never exponential.
pub(super) fn is_like(form: &str, tag: &str) -> bool {
    let (form, tag) = (form.as_bytes(), tag.as_bytes());
    let (mut at, mut read, mut back) = (0, 0, None);
    while read < tag.len() {
        match form.get(at) {
            Some(b'*') => {
                back = Some((at, read));
                at += 1;
            }
            Some(byte) if tag.get(read) == Some(byte) => {
                at += 1;
                read += 1;
            }
            Some(_) | None => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    at = star + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    form.iter().skip(at).all(|byte| *byte == b'*')
}
