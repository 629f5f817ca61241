//! Which tags stay, which go, and why. Pure.

use super::rules::{RetentionRule, applies, is_like};

/// A tag as the rules see it. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFacts {
    /// Its name.
    pub tag: String,
    /// When it was last pointed.
    pub tagged: u64,
    /// When it was last pulled, as far as that is known.
    pub pulled: Option<u64>,
}

/// What becomes of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its name.
    pub tag: String,
    /// Whether it stays.
    pub keep: bool,
    /// The reasons to keep it, or the rule that lets it go.
    pub reasons: Vec<String>,
}

/// What becomes of the tags of a repository. Without a rule for it, all stay.
pub fn plan(
    rules: &[RetentionRule],
    repository: &str,
    tags: &[TagFacts],
    now: u64,
) -> Vec<Verdict> {
    let rule = rules.iter().enumerate().find(|(_, rule)| applies(&rule.repositories, repository));
    let Some((number, rule)) = rule else {
        let keep = |facts: &TagFacts| Verdict {
            tag: facts.tag.clone(),
            keep: true,
            reasons: vec!["no rule is for this repository".to_owned()],
        };
        return tags.iter().map(keep).collect();
    };
    let mut newest: Vec<&TagFacts> = tags.iter().collect();
    newest.sort_by(|a, b| b.tagged.cmp(&a.tagged).then_with(|| b.tag.cmp(&a.tag)));
    newest.truncate(rule.keep_newest.unwrap_or(0));
    let verdict = |facts: &TagFacts| {
        let mut reasons = Vec::new();
        if newest.iter().any(|kept| kept.tag == facts.tag) {
            reasons.push(format!("among the {} newest", rule.keep_newest.unwrap_or(0)));
        }
        reasons.extend(
            rule.keep_tags
                .iter()
                .filter(|form| is_like(form, &facts.tag))
                .map(|form| format!("is like `{form}`")),
        );
        // A clock that was set back makes things younger, never older.
        let within = |then: u64, seconds: u64| now.saturating_sub(then) < seconds;
        if rule.keep_younger_than.is_some_and(|age| within(facts.tagged, age.seconds())) {
            reasons.push("young enough".to_owned());
        }
        // What was never pulled may be waiting for its first pull.
        let pulled = facts.pulled.unwrap_or(0).max(facts.tagged);
        if rule.keep_pulled_within.is_some_and(|age| within(pulled, age.seconds())) {
            reasons.push("pulled or pointed lately".to_owned());
        }
        let keep = !reasons.is_empty();
        if !keep {
            reasons.push(format!(
                "rule {} for {} keeps it for no reason",
                number + 1,
                rule.repositories.join(", ")
            ));
        }
        Verdict { tag: facts.tag.clone(), keep, reasons }
    };
    tags.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Period;
    use proptest::prelude::*;

    const NOW: u64 = 1_000_000;

    fn facts(tag: &str, age: u64) -> TagFacts {
        TagFacts { tag: tag.to_owned(), tagged: NOW - age, pulled: None }
    }

    fn rule(rule: RetentionRule) -> Vec<RetentionRule> {
        vec![RetentionRule { repositories: vec!["**".to_owned()], ..rule }]
    }

    fn kept(rules: &[RetentionRule], tags: &[TagFacts]) -> Vec<String> {
        let verdicts = plan(rules, "a/b", tags, NOW);
        verdicts.into_iter().filter(|verdict| verdict.keep).map(|verdict| verdict.tag).collect()
    }

    #[test]
    fn each_reason_keeps_what_it_says() {
        let tags = [facts("v1", 400), facts("v2", 300), facts("latest", 200), facts("dev-7", 100)];
        let newest = rule(RetentionRule { keep_newest: Some(2), ..RetentionRule::default() });
        assert_eq!(kept(&newest, &tags), ["latest", "dev-7"]);
        let form =
            rule(RetentionRule { keep_tags: vec!["v*".to_owned()], ..RetentionRule::default() });
        assert_eq!(kept(&form, &tags), ["v1", "v2"]);
        let younger = rule(RetentionRule {
            keep_younger_than: Period::parse("250s"),
            ..RetentionRule::default()
        });
        assert_eq!(kept(&younger, &tags), ["latest", "dev-7"]);
        let pulled = rule(RetentionRule {
            keep_pulled_within: Period::parse("50s"),
            ..RetentionRule::default()
        });
        let lately = TagFacts { pulled: Some(NOW - 10), ..facts("v0", 900) };
        let long_ago = TagFacts { pulled: Some(NOW - 60), ..facts("v2", 900) };
        let tags = [facts("v1", 900), lately, long_ago, facts("new", 40)];
        assert_eq!(kept(&pulled, &tags), ["v0", "new"]);
    }

    #[test]
    fn without_a_rule_all_stay_and_the_first_rule_decides() {
        let tags = [facts("a", 1)];
        assert_eq!(kept(&[], &tags), ["a"]);
        let mut rules = vec![RetentionRule {
            repositories: vec!["a/*".to_owned()],
            keep_tags: vec!["never".to_owned()],
            ..RetentionRule::default()
        }];
        rules.extend(rule(RetentionRule { keep_newest: Some(9), ..RetentionRule::default() }));
        let verdicts = plan(&rules, "a/b", &tags, NOW);
        assert_eq!(verdicts[0].reasons, ["rule 1 for a/* keeps it for no reason"]);
        assert!(!verdicts[0].keep);
    }

    #[test]
    fn forms_of_tags() {
        for (form, tag, is) in [
            ("*", "", true),
            ("v*", "v1", true),
            ("v*", "w1", false),
            ("*-rc*", "1.0-rc2", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("v1", "v11", false),
            ("", "a", false),
        ] {
            assert_eq!(is_like(form, tag), is, "{form} {tag}");
        }
    }

    proptest! {
        #[test]
        fn more_reasons_never_keep_less(
            ages in proptest::collection::btree_map("[a-z]{1,3}", 0u64..1000, 0..12),
            newest in 0usize..6,
            younger in 0u64..1000,
        ) {
            let tags: Vec<TagFacts> = ages.iter().map(|(tag, age)| facts(tag, *age)).collect();
            let one = rule(RetentionRule { keep_newest: Some(newest), ..RetentionRule::default() });
            let two = rule(RetentionRule {
                keep_newest: Some(newest),
                keep_younger_than: Period::parse(&format!("{younger}s")),
                ..RetentionRule::default()
            });
            let (one, two) = (kept(&one, &tags), kept(&two, &tags));
            prop_assert_eq!(one.len(), newest.min(tags.len()));
            prop_assert!(one.iter().all(|tag| two.contains(tag)));
            prop_assert!(tags.iter().all(|tag| NOW - tag.tagged >= younger || two.contains(&tag.tag)));
        }
    }
}
