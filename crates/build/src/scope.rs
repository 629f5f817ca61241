//! Pure: which variables an instruction sees, and what a process gets.

use naru_dockerfile::PREDEFINED;
use std::collections::BTreeMap;

/// The variables of a stage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// What `ARG`s have declared, in order, with their values where they have one.
    args: Vec<(String, Option<String>)>,
    /// What the build was given.
    given: BTreeMap<String, Option<String>>,
    /// What stands before the first `FROM`, and what is known of the platforms.
    global: BTreeMap<String, String>,
}

impl Scope {
    /// The scope of a stage that has just begun.
    pub(crate) fn new(
        given: &BTreeMap<String, Option<String>>,
        global: &BTreeMap<String, String>,
    ) -> Scope {
        Scope { args: Vec::new(), given: given.clone(), global: global.clone() }
    }

    /// `ARG NAME[=default]`: what it is worth here.
    pub(crate) fn declare(&mut self, name: &str, default: Option<String>) -> Option<String> {
        let given = self.given.get(name).cloned().flatten();
        let value = given.or(default).or_else(|| self.global.get(name).cloned());
        self.args.retain(|(known, _)| known != name);
        self.args.push((name.to_owned(), value.clone()));
        value
    }

    /// What a variable is worth in an instruction: the image's environment first.
    pub(crate) fn lookup(&self, env: &[String], name: &str) -> Option<String> {
        in_environment(env, name).map(str::to_owned).or_else(|| {
            let declared = self.args.iter().find(|(known, _)| known == name);
            declared.and_then(|(_, value)| value.clone())
        })
    }

    /// The arguments that a `RUN` gets besides the image's environment: those that count, and those that do not.
    pub(crate) fn for_process(&self, env: &[String]) -> (Vec<String>, Vec<String>) {
        let pair = |(name, value): &(String, Option<String>)| {
            let value = value.as_ref()?;
            in_environment(env, name).is_none().then(|| format!("{name}={value}"))
        };
        let declared: Vec<String> = self.args.iter().filter_map(pair).collect();
        let silent = PREDEFINED
            .iter()
            .filter(|name| self.args.iter().all(|(known, _)| known != *name))
            .filter_map(|name| {
                let value = self.given.get(*name)?.as_ref()?;
                in_environment(env, name).is_none().then(|| format!("{name}={value}"))
            });
        (declared, silent.collect())
    }
}

/// Build arguments that nobody declared and that are none of the predefined ones.
pub(crate) fn unused<'a>(
    given: &'a BTreeMap<String, Option<String>>,
    declared: &'a std::collections::BTreeSet<String>,
) -> impl Iterator<Item = &'a String> {
    given.keys().filter(|name| {
        !declared.contains(*name)
            && !PREDEFINED.contains(&name.as_str())
            && !name.starts_with("BUILDKIT_")
            && name.as_str() != "SOURCE_DATE_EPOCH"
    })
}

/// The value of a variable in a list of `NAME=value`.
pub(crate) fn in_environment<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Sets a variable in a list of `NAME=value`, in the place of what it was.
pub(crate) fn set_in_environment(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let is_it = |known: &String| known.split('=').next() == Some(name);
    match env.iter_mut().find(|known| is_it(known)) {
        Some(known) => *known = pair,
        None => env.push(pair),
    }
}

/// What is known of the platforms of a build.
pub(crate) fn platform_args(
    host: &naru_oci::Platform,
    target: &naru_oci::Platform,
    stage: Option<&str>,
) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("BUILD", host), ("TARGET", target)] {
        let variant = platform.variant.clone().unwrap_or_default();
        for (name, value) in [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", variant),
        ] {
            args.insert(format!("{prefix}{name}"), value);
        }
    }
    args.insert("TARGETSTAGE".to_owned(), stage.unwrap_or("default").to_owned());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn arguments_are_worth_what_was_given_then_their_default_then_the_global_one() {
        let global = BTreeMap::from([("G".to_owned(), "global".to_owned())]);
        let given = given(&[("A", Some("given")), ("N", None), ("HTTP_PROXY", Some("p"))]);
        let mut scope = Scope::new(&given, &global);
        assert_eq!(scope.lookup(&[], "A"), None, "not declared yet");
        assert_eq!(scope.declare("A", Some("default".into())).as_deref(), Some("given"));
        assert_eq!(scope.declare("B", Some("default".into())).as_deref(), Some("default"));
        assert_eq!(scope.declare("G", None).as_deref(), Some("global"));
        assert_eq!(scope.declare("N", None), None);
        let env = ["B=env".to_owned()];
        assert_eq!(scope.lookup(&env, "B").as_deref(), Some("env"), "the environment wins");
        assert_eq!(scope.lookup(&env, "G").as_deref(), Some("global"));
        let (counted, silent) = scope.for_process(&env);
        assert_eq!(counted, ["A=given", "G=global"]);
        assert_eq!(silent, ["HTTP_PROXY=p"]);
    }

    #[test]
    fn a_variable_is_set_in_its_place() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        set_in_environment(&mut env, "A", "x=y");
        set_in_environment(&mut env, "C", "3");
        assert_eq!(env, ["A=x=y", "B=2", "C=3"]);
        assert_eq!(in_environment(&env, "A"), Some("x=y"));
    }
}
