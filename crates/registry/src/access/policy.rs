//! What each user may do to which repository. Pure.
//!
//! Rules only ever allow, so their order says nothing: somebody may do what any rule allows. Without a policy users may everything;
//! with one, even an empty one, nobody may anything that no rule allows.

use super::config::PolicyRule;
use super::pattern::Pattern;
use super::{Action, config};
use naru_errdefs::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// Whom a rule is for.
const EVERY_USER: &str = "*";

/// The rights of everybody.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Groups of each user.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// Whether there are users at all, so that somebody anonymous could become one.
    users_exist: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    repositories: Vec<Pattern>,
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    anonymous: bool,
    actions: BTreeSet<Action>,
}

impl Policy {
    /// Puts the policy of a configuration together; none when everybody may everything.
    pub fn of(config: &config::AccessConfig, users_exist: bool) -> Result<Option<Policy>, Fault> {
        let mut rules = Vec::new();
        match &config.policy {
            None if !users_exist && config.anonymous.is_none() => return Ok(None),
            None if users_exist => rules.push(Rule {
                repositories: vec![Pattern::parse("**")?],
                users: BTreeSet::from([EVERY_USER.to_owned()]),
                groups: BTreeSet::new(),
                anonymous: false,
                actions: Action::ALL.into_iter().collect(),
            }),
            None => {}
            Some(asked) => {
                for (at, rule) in asked.iter().enumerate() {
                    let read = Rule::of(rule, &config.groups).map_err(|fault| {
                        fault.context(format!("invalid rule {} of `auth.policy`", at + 1))
                    })?;
                    rules.push(read);
                }
            }
        }
        if let Some(actions) = config.anonymous.as_ref().filter(|actions| !actions.is_empty()) {
            rules.push(Rule {
                repositories: vec![Pattern::parse("**")?],
                users: BTreeSet::new(),
                groups: BTreeSet::new(),
                anonymous: true,
                actions: actions.iter().copied().collect(),
            });
        }
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (group, users) in &config.groups {
            for user in users {
                groups.entry(user.clone()).or_default().insert(group.clone());
            }
        }
        Ok(Some(Policy { rules, groups, users_exist }))
    }

    /// Whether somebody (none: anonymous) may do something. `catalog` and `admin` concern no repository, so their rules' patterns do
    /// not count.
    pub fn allows(&self, user: Option<&str>, repository: &str, action: Action) -> bool {
        self.rules.iter().any(|rule| {
            rule.actions.contains(&action)
                && self.concerns(rule, user)
                && (action.is_of_the_whole()
                    || rule.repositories.iter().any(|pattern| pattern.matches(user, repository)))
        })
    }

    /// Whether anonymous requests may do anything at all.
    pub fn serves_anonymous(&self) -> bool {
        self.rules.iter().any(|rule| rule.anonymous)
    }

    /// Whether somebody anonymous could become a user.
    pub fn users_exist(&self) -> bool {
        self.users_exist
    }

    /// What is allowed to somebody anonymous is allowed to users too.
    fn concerns(&self, rule: &Rule, user: Option<&str>) -> bool {
        if rule.anonymous {
            return true;
        }
        let Some(user) = user else { return false };
        rule.users.contains(EVERY_USER)
            || rule.users.contains(user)
            || self.groups.get(user).is_some_and(|groups| !groups.is_disjoint(&rule.groups))
    }
}

impl Rule {
    fn of(rule: &PolicyRule, groups: &BTreeMap<String, Vec<String>>) -> Result<Rule, Fault> {
        if rule.users.is_empty() && rule.groups.is_empty() && !rule.anonymous {
            return Err(Fault::invalid("the rule is for nobody")
                .with_hint("name `users` (\"*\" is every user) or `groups`, or set `anonymous`"));
        }
        if rule.actions.is_empty() {
            return Err(Fault::invalid("the rule allows no action")
                .with_hint("list `actions`: pull, push, delete, catalog, admin"));
        }
        if rule.repositories.is_empty() && rule.actions.iter().any(|it| !it.is_of_the_whole()) {
            return Err(Fault::invalid("the rule is about no repository")
                .with_hint("list `repositories`; \"**\" is every one"));
        }
        if let Some(unknown) = rule.groups.iter().find(|group| !groups.contains_key(*group)) {
            return Err(Fault::invalid(format!("there is no group `{unknown}`"))
                .with_hint("name its users in `auth.groups`"));
        }
        Ok(Rule {
            repositories: rule
                .repositories
                .iter()
                .map(|text| Pattern::parse(text))
                .collect::<Result<_, _>>()?,
            users: rule.users.iter().cloned().collect(),
            groups: rule.groups.iter().cloned().collect(),
            anonymous: rule.anonymous,
            actions: rule.actions.iter().copied().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(text: &str, users: bool) -> Option<Policy> {
        Policy::of(&serde_json::from_str(text).unwrap(), users).unwrap()
    }

    fn refused(text: &str) -> String {
        let fault = Policy::of(&serde_json::from_str(text).unwrap(), true).unwrap_err();
        naru_errdefs::one_line(&fault)
    }

    const SITE: &str = r#"{
        "groups": {"ci": ["bot", "ann"], "admins": ["root"]},
        "policy": [
            {"repositories": ["library/**"], "anonymous": true, "actions": ["pull"]},
            {"repositories": ["{user}/**"], "users": ["*"], "actions": ["pull", "push"]},
            {"repositories": ["team/*"], "groups": ["ci"], "actions": ["push"]},
            {"repositories": ["**"], "groups": ["admins"], "actions": ["pull", "push", "delete", "catalog"]}
        ]}"#;

    #[test]
    fn rights_of_a_site() {
        use Action::{Catalog, Delete, Pull, Push};
        let policy = policy(SITE, true).unwrap();
        for (user, repository, action, expected) in [
            (None, "library/nginx", Pull, true),
            (None, "library/nginx", Push, false),
            (None, "ann/app", Pull, false),
            (None, "", Catalog, false),
            (Some("ann"), "library/nginx", Pull, true),
            (Some("ann"), "ann/app", Push, true),
            (Some("ann"), "ann", Push, true),
            (Some("ann"), "ann/app", Delete, false),
            (Some("ann"), "bob/app", Pull, false),
            (Some("ann"), "team/app", Push, true),
            (Some("ann"), "team/app", Pull, false),
            (Some("ann"), "team/a/b", Push, false),
            (Some("eve"), "team/app", Push, false),
            (Some("*"), "ann/app", Pull, false),
            (Some("ci"), "team/app", Push, false),
            (Some("root"), "ann/app", Delete, true),
            (Some("root"), "", Catalog, true),
            (Some("ann"), "", Catalog, false),
        ] {
            assert_eq!(
                policy.allows(user, repository, action),
                expected,
                "{user:?} {repository} {action:?}"
            );
        }
        assert!(policy.serves_anonymous());
    }

    #[test]
    fn without_a_policy_users_may_everything_and_others_nothing() {
        assert!(policy("{}", false).is_none(), "no users, no rules: open");
        let with_users = policy("{}", true).unwrap();
        for action in Action::ALL {
            assert!(with_users.allows(Some("x"), "a/b", action));
            assert!(!with_users.allows(None, "a/b", action));
        }
        let reading = policy(r#"{"anonymous": ["pull"]}"#, true).unwrap();
        assert!(reading.allows(None, "a/b", Action::Pull));
        assert!(!reading.allows(None, "a/b", Action::Push));
        assert!(reading.allows(Some("x"), "a/b", Action::Push));
        let mirror = policy(r#"{"anonymous": ["pull"]}"#, false).unwrap();
        assert!(mirror.allows(None, "a/b", Action::Pull));
        assert!(!mirror.allows(None, "a/b", Action::Push));
        let empty = policy(r#"{"policy": []}"#, true).unwrap();
        assert!(!empty.allows(Some("x"), "a/b", Action::Pull));
    }

    #[test]
    fn rules_that_say_nothing_are_refused() {
        for (text, why) in [
            (r#"{"policy":[{"repositories":["a"],"actions":["pull"]}]}"#, "for nobody"),
            (r#"{"policy":[{"repositories":["a"],"users":["x"],"actions":[]}]}"#, "no action"),
            (r#"{"policy":[{"users":["x"],"actions":["pull"]}]}"#, "no repository"),
            (r#"{"policy":[{"repositories":["A"],"users":["x"],"actions":["pull"]}]}"#, "`A`"),
            (
                r#"{"policy":[{"repositories":["a"],"groups":["g"],"actions":["pull"]}]}"#,
                "no group `g`",
            ),
        ] {
            let said = refused(text);
            assert!(said.contains(why) && said.contains("rule 1"), "{text}: {said}");
        }
    }

    proptest! {
        /// One more rule never takes anything away.
        #[test]
        fn rules_only_ever_allow(
            kept in prop::collection::vec(0usize..4, 0..4), more in 0usize..4,
            user in prop::option::of("(ann|bob|bot|root)"), name in "(library|ann|team|bob)(/(a|b)){0,2}", action in 0usize..5
        ) {
            let config: config::AccessConfig = serde_json::from_str(SITE).unwrap();
            let all = config.policy.clone().unwrap();
            let with = |picked: &[usize]| {
                let policy = Some(picked.iter().map(|at| all[*at].clone()).collect());
                Policy::of(&config::AccessConfig { policy, ..config.clone() }, true).unwrap().unwrap()
            };
            let action = Action::ALL[action];
            if with(&kept).allows(user.as_deref(), &name, action) {
                let mut grown = kept.clone();
                grown.insert(0, more);
                prop_assert!(with(&grown).allows(user.as_deref(), &name, action));
            }
            prop_assert!(!with(&[]).allows(user.as_deref(), &name, action));
        }
    }
}
