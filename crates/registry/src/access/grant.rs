//! What a token lets its bearer do: scopes as clients ask for them, and the claim `access` (docker's token specification). Pure.

use super::{Action, Need};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest name in a scope, in bytes.
const LONGEST_NAME: usize = 255;
/// Most scopes in one request.
pub(crate) const MOST_SCOPES: usize = 32;

/// One entry of the claim `access`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository's name; `catalog` or `admin`.
    pub name: String,
    /// `pull`, `push`, `delete`; `*` of the registry.
    pub actions: Vec<String>,
}

impl Grant {
    /// Whether this entry lets its bearer do something.
    pub fn covers(&self, repository: &str, action: Action) -> bool {
        let has = |asked: &str| self.actions.iter().any(|it| it == asked || it == "*");
        match action {
            Action::Catalog | Action::Admin => {
                self.kind == "registry" && self.name == action.as_str() && has("*")
            }
            Action::Pull | Action::Push | Action::Delete => {
                self.kind == "repository" && self.name == repository && has(action.as_str())
            }
        }
    }
}

/// Reads one scope, `repository:NAME:ACTION[,ACTION]` or `registry:catalog:*`. What we know nothing of gives no needs: a token
/// without it is issued, as the specification says.
pub fn parse_scope(scope: &str) -> Vec<Need> {
    let Some((kind, rest)) = scope.split_once(':') else { return Vec::new() };
    // A name may have colons: a host with a port in front.
    let Some((name, actions)) = rest.rsplit_once(':') else { return Vec::new() };
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Vec::new();
    }
    // `repository(plugin)`: a class, which says nothing about rights.
    let kind = kind.split_once('(').map_or(kind, |(kind, _class)| kind);
    let all = actions.split(',').any(|action| action == "*");
    match kind {
        "registry" if name == "catalog" && all => vec![Need::new("", Action::Catalog)],
        "registry" if name == "admin" && all => vec![Need::new("", Action::Admin)],
        "repository" => [Action::Pull, Action::Push, Action::Delete]
            .into_iter()
            .filter(|action| all || actions.split(',').any(|it| it == action.as_str()))
            .map(|action| Need::new(name, action))
            .collect(),
        _ => Vec::new(),
    }
}

/// The entries for what is granted; each repository once.
pub(crate) fn grants(granted: &BTreeSet<Need>) -> Vec<Grant> {
    let mut repositories: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut grants = Vec::new();
    for need in granted {
        if need.action.is_of_the_whole() {
            grants.push(Grant {
                kind: "registry".to_owned(),
                name: need.action.as_str().to_owned(),
                actions: vec!["*".to_owned()],
            });
        } else {
            let actions = repositories.entry(&need.repository).or_default();
            actions.push(need.action.as_str().to_owned());
        }
    }
    grants.extend(repositories.into_iter().map(|(name, actions)| Grant {
        kind: "repository".to_owned(),
        name: name.to_owned(),
        actions,
    }));
    grants
}

/// The scopes to ask for, so that a request would be let in; empty when it needs no right. Who pushes reads first, so both are named.
pub fn challenge_scope(needs: &[Need]) -> String {
    let mut wanted: BTreeSet<Need> = needs.iter().cloned().collect();
    for need in needs.iter().filter(|need| need.action == Action::Push) {
        wanted.insert(Need::new(need.repository.clone(), Action::Pull));
    }
    let scopes: Vec<String> = grants(&wanted)
        .iter()
        .map(|grant| format!("{}:{}:{}", grant.kind, grant.name, grant.actions.join(",")))
        .collect();
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(needs: &[Need]) -> Vec<String> {
        needs.iter().map(|need| format!("{} {}", need.repository, need.action.as_str())).collect()
    }

    #[test]
    fn scopes_are_read() {
        for (scope, expected) in [
            ("repository:a/b:pull", &["a/b pull"][..]),
            ("repository:a/b:push,pull", &["a/b pull", "a/b push"]),
            ("repository:a:pull,pull", &["a pull"]),
            ("repository:a:*", &["a pull", "a push", "a delete"]),
            ("repository:host:5000/a:pull", &["host:5000/a pull"]),
            ("repository(plugin):a:pull", &["a pull"]),
            ("repository:a:metadata_read,pull", &["a pull"]),
            ("registry:catalog:*", &[" catalog"]),
            ("registry:admin:*", &[" admin"]),
            ("registry:admin:pull", &[]),
            ("registry:catalog:pull", &[]),
            ("registry:other:*", &[]),
            ("repository:a:PULL", &[]),
            ("repository:a", &[]),
            ("repository::pull", &[]),
            ("plugin:a:pull", &[]),
            ("", &[]),
        ] {
            assert_eq!(shown(&parse_scope(scope)), expected, "{scope}");
        }
        assert!(parse_scope(&format!("repository:{}:pull", "a".repeat(256))).is_empty());
    }

    #[test]
    fn a_challenge_names_what_would_do() {
        use Action::{Catalog, Delete, Pull, Push};
        for (needs, expected) in [
            (vec![], ""),
            (vec![Need::new("a", Pull)], "repository:a:pull"),
            (vec![Need::new("a", Push)], "repository:a:pull,push"),
            (vec![Need::new("a", Delete)], "repository:a:delete"),
            (
                vec![Need::new("b", Pull), Need::new("a", Push)],
                "repository:a:pull,push repository:b:pull",
            ),
            (vec![Need::new("", Catalog)], "registry:catalog:*"),
        ] {
            assert_eq!(challenge_scope(&needs), expected);
        }
    }

    proptest! {
        /// What a challenge asks for, granted, covers what was needed, and nothing of another repository.
        #[test]
        fn a_granted_challenge_covers_the_needs(
            wanted in prop::collection::vec(("[a-c]{1,2}", 0usize..5), 1..5)
        ) {
            let needs: Vec<Need> = wanted.iter().map(|(name, at)| match Action::ALL[*at] {
                action if action.is_of_the_whole() => Need::new("", action),
                action => Need::new(name.as_str(), action),
            }).collect();
            let asked: BTreeSet<Need> =
                challenge_scope(&needs).split(' ').flat_map(parse_scope).collect();
            let granted = grants(&asked);
            for need in &needs {
                prop_assert!(granted.iter().any(|it| it.covers(&need.repository, need.action)));
            }
            for action in Action::ALL.into_iter().filter(|it| !it.is_of_the_whole()) {
                prop_assert!(!granted.iter().any(|it| it.covers("z", action)));
            }
        }

        #[test]
        fn any_scope_is_read_without_a_panic(scope in "\\PC{0,60}") {
            parse_scope(&scope);
        }
    }
}
