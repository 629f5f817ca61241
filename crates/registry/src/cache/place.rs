//! Pure: which upstream a repository is of, and what it is called here and there.

use super::config::{CacheConfig, UpstreamConfig};

/// A repository of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is called here: rights, members and tags are those of this name.
    pub repository: String,
    /// What it is called at its upstream.
    pub remote: String,
    /// Which upstream.
    pub(super) upstream: usize,
}

/// Finds the place of a repository's name in a request, with the namespace that the request gives (`?ns=`).
#[derive(Debug)]
pub(super) struct Places {
    upstreams: Vec<Known>,
    local: Vec<String>,
    names: Vec<String>,
}

#[derive(Debug)]
struct Known {
    name: String,
    prefix: String,
    is_hub: bool,
    /// The path before repositories there.
    path: String,
}

impl Places {
    pub(super) fn new(config: &CacheConfig) -> Places {
        let known = |upstream: &UpstreamConfig| Known {
            name: upstream.name.clone(),
            prefix: upstream.prefix(),
            is_hub: upstream.is_hub(),
            // A wrong address was refused before.
            path: upstream.address().map(|(_, _, path)| path).unwrap_or_default(),
        };
        Places {
            upstreams: config.upstreams.iter().map(known).collect(),
            local: config.local.clone(),
            names: config.names.clone(),
        }
    }

    /// The other registry that a namespace means; none when it means this one.
    pub(super) fn other<'a>(&self, namespace: Option<&'a str>) -> Option<&'a str> {
        let is_ours =
            |namespace: &str| self.names.iter().any(|name| name.eq_ignore_ascii_case(namespace));
        namespace.filter(|namespace| !namespace.is_empty() && !is_ours(namespace))
    }

    /// None when the repository is not one of the cache, or nobody by this name is cached.
    pub(super) fn find(&self, namespace: Option<&str>, repository: &str) -> Option<Place> {
        if let Some(namespace) = self.other(namespace) {
            let at = self.upstreams.iter().position(|known| known.name == namespace)?;
            let place = self.place(at, repository)?;
            // Prefixes may lie in one another; a repository here is of one upstream only.
            return self.by_prefix(&place.repository).filter(|owner| owner.upstream == at);
        }
        self.by_prefix(repository)
    }

    fn by_prefix(&self, repository: &str) -> Option<Place> {
        let inside = |prefix: &str| {
            if prefix.is_empty() {
                return Some(repository);
            }
            repository.strip_prefix(prefix)?.strip_prefix('/').filter(|rest| !rest.is_empty())
        };
        let is_at = |prefix: &String| repository == prefix || inside(prefix).is_some();
        let (at, rest) = self
            .upstreams
            .iter()
            .enumerate()
            .filter_map(|(at, known)| Some((at, known, inside(&known.prefix)?)))
            .max_by_key(|(_, known, _)| known.prefix.len())
            .map(|(at, _, rest)| (at, rest))?;
        let longest = self.upstreams.get(at).map_or(0, |known| known.prefix.len());
        if self.local.iter().any(|local| local.len() > longest && is_at(local)) {
            return None;
        }
        self.place(at, rest)
    }

    fn place(&self, at: usize, rest: &str) -> Option<Place> {
        let known = self.upstreams.get(at)?;
        let official = known.is_hub && !rest.contains('/');
        let name = if official { format!("library/{rest}") } else { rest.to_owned() };
        let below = |path: &str| {
            if path.is_empty() { name.clone() } else { format!("{path}/{name}") }
        };
        Some(Place { repository: below(&known.prefix), remote: below(&known.path), upstream: at })
    }

    /// Which upstream a repository of the store belongs to, by its name here.
    pub(super) fn is_cached(&self, repository: &str) -> bool {
        self.find(None, repository).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let with = |name: &str, prefix: Option<&str>, url: Option<&str>| UpstreamConfig {
            prefix: prefix.map(str::to_owned),
            url: url.map(str::to_owned),
            ..UpstreamConfig::new(name)
        };
        let config = CacheConfig {
            upstreams: vec![
                with("docker.io", Some("hub"), None),
                with("q.example", None, None),
                with("h.example:5000", Some("hub/inner"), Some("https://x.example/some/path")),
            ],
            local: vec!["hub/own".to_owned()],
            names: vec!["this.example".to_owned()],
            max_size: None,
            max_age: None,
        };
        config.check().unwrap();
        Places::new(&config)
    }

    #[test]
    fn repositories_find_their_upstream() {
        let places = places();
        for (namespace, name, expected) in [
            (None, "hub/library/debian", Some((0, "hub/library/debian", "library/debian"))),
            (None, "hub/debian", Some((0, "hub/library/debian", "library/debian"))),
            (None, "hub/a/b/c", Some((0, "hub/a/b/c", "a/b/c"))),
            (None, "hub", None),
            (None, "hubbub/x", None),
            (None, "debian", None),
            (None, "hub/own", None),
            (None, "hub/own/x", None),
            (None, "hub/owner/x", Some((0, "hub/owner/x", "owner/x"))),
            (None, "q.example/x", Some((1, "q.example/x", "x"))),
            (None, "hub/inner/x", Some((2, "hub/inner/x", "some/path/x"))),
            (
                Some("docker.io"),
                "library/debian",
                Some((0, "hub/library/debian", "library/debian")),
            ),
            (Some("docker.io"), "debian", Some((0, "hub/library/debian", "library/debian"))),
            (Some("h.example:5000"), "x", Some((2, "hub/inner/x", "some/path/x"))),
            (Some("docker.io"), "inner/x", None),
            (Some("docker.io"), "own/x", None),
            (Some("unknown.example"), "hub/debian", None),
            (Some(""), "hub/debian", Some((0, "hub/library/debian", "library/debian"))),
            (Some("This.example"), "hub/debian", Some((0, "hub/library/debian", "library/debian"))),
            (Some("this.example"), "debian", None),
        ] {
            let found = places.find(namespace, name);
            let found =
                found.as_ref().map(|p| (p.upstream, p.repository.as_str(), p.remote.as_str()));
            assert_eq!(found, expected, "{namespace:?} {name}");
        }
    }

    #[test]
    fn the_empty_prefix_takes_what_is_nobodys() {
        let hub =
            UpstreamConfig { prefix: Some(String::new()), ..UpstreamConfig::new("docker.io") };
        let config = CacheConfig {
            upstreams: vec![hub, UpstreamConfig::new("q.example")],
            local: vec!["site".to_owned()],
            names: vec![],
            max_size: None,
            max_age: None,
        };
        let places = Places::new(&config);
        let repository = |name: &str| places.find(None, name).map(|place| place.repository);
        assert_eq!(repository("debian").as_deref(), Some("library/debian"));
        assert_eq!(repository("library/debian").as_deref(), Some("library/debian"));
        assert_eq!(repository("q.example/x").as_deref(), Some("q.example/x"));
        assert_eq!(repository("site/x"), None);
        assert!(places.is_cached("a/b") && !places.is_cached("site"));
    }
}
