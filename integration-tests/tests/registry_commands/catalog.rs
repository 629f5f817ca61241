//! `_catalog` in pages for somebody who may read only some repositories. Acts: a registry of its own beside nobody.

use integration_tests::{PlainRegistry, binary, run};
use std::path::Path;
use std::process::Command;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct Registry(PlainRegistry);

impl Registry {
    #[track_caller]
    fn start(dir: &Path) -> Registry {
        let mut users = String::new();
        for user in ["alice", "root", "bob"] {
            users += run(Command::new("htpasswd").args(["-nbBC", "4", user, "secret"])).ok().text();
            users.push('\n');
        }
        std::fs::write(dir.join("users"), users).expect("a file");
        let config = serde_json::json!({
            "root": dir.join("root"),
            "listen": "127.0.0.1:0",
            "auth": { "htpasswd": dir.join("users"), "policy": [
                { "repositories": ["a/**", "c/*"], "users": ["alice"], "actions": ["pull"] },
                { "users": ["alice"], "actions": ["catalog"] },
                { "repositories": ["**"], "users": ["root"], "actions": ["pull", "push", "catalog"] },
                { "repositories": ["**"], "users": ["bob"], "actions": ["pull"] },
            ] },
        });
        let file = dir.join("config.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        Registry(PlainRegistry::start(&["--config".as_ref(), file.as_ref()]))
    }

    /// Everything that is answered: head and body.
    fn ask(&self, user: &str, words: &[&str], path: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "-u", &format!("{user}:secret")]).args(words);
        run(curl.arg(format!("http://{}{path}", self.0.address))).ok().stdout
    }

    /// The repositories of one page, and where the next one is.
    #[track_caller]
    fn page(&self, user: &str, path: &str) -> (Vec<String>, Option<String>) {
        let answer = self.ask(user, &[], path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        if user == "alice" {
            assert!(!answer.contains("hidden"), "{path}: {answer}");
        }
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let names = body["repositories"].as_array().expect("a list").iter();
        let names = names.map(|name| name.as_str().expect("a name").to_owned()).collect();
        let link = head.lines().find_map(|line| line.strip_prefix("link: "));
        let next = link.map(|link| {
            let rest = link.strip_prefix('<').expect("an address in brackets");
            let (next, relation) = rest.split_once('>').expect("an address in brackets");
            assert_eq!(relation, "; rel=\"next\"");
            next.to_owned()
        });
        (names, next)
    }

    /// All pages from one on, no longer than `most`.
    #[track_caller]
    fn pages(&self, user: &str, path: &str, most: usize) -> Vec<String> {
        let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let (names, then) = self.page(user, &path);
            // A page that has a next one is full: what is left out does not show.
            assert!(names.len() <= most && (then.is_none() || names.len() == most), "{names:?}");
            all.extend(names);
            next = then;
        }
        all
    }
}

#[test]
fn pages_of_the_catalog_tell_of_nothing_that_one_may_not_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let registry = Registry::start(dir.path());
    let hers = ["a/1", "a/2", "a/2/3", "c/1", "c/2"];
    let hidden = ["a-hidden", "b/hidden1", "b/hidden2", "c/1/hidden", "d/hidden", "z/hidden"];
    for name in hers.iter().chain(&hidden) {
        let path = format!("/v2/{name}/blobs/uploads/?digest={EMPTY}");
        let answer = registry.ask("root", &["-X", "POST", "-H", "Content-Length: 0"], &path);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    let mut all: Vec<&str> = hers.iter().chain(&hidden).copied().collect();
    all.sort_unstable();
    for n in 1..=6 {
        let path = format!("/v2/_catalog?n={n}");
        assert_eq!(registry.pages("alice", &path, n), hers, "{n}");
        assert_eq!(registry.pages("root", &path, n), all, "{n}");
    }
    // Exactly hers fit: there is no next page, although there are others' repositories behind.
    assert_eq!(registry.page("alice", "/v2/_catalog?n=5").1, None);
    assert_eq!(registry.page("alice", "/v2/_catalog"), (hers.map(str::to_owned).to_vec(), None));
    // From a name that is hers, that is somebody else's, and that is nobody's: the same.
    for last in ["a/2/3", "b/hidden1", "b/nothing", "b", "c"] {
        let (names, next) = registry.page("alice", &format!("/v2/_catalog?n=1&last={last}"));
        assert_eq!(names, ["c/1"], "{last}");
        assert_eq!(next.as_deref(), Some("/v2/_catalog?n=1&last=c/1"), "{last}");
    }
    for last in ["c/2", "d/hidden", "zz"] {
        let path = format!("/v2/_catalog?n=2&last={last}");
        assert_eq!(registry.page("alice", &path), (Vec::new(), None), "{last}");
    }
    // Who may read it all, but not the catalog, is not told.
    assert!(registry.ask("bob", &[], "/v2/_catalog").starts_with("HTTP/1.1 403"));
    // Our own client walks the pages, too.
    let config = dir.path().join("docker-config");
    std::fs::create_dir(&config).expect("a directory");
    // alice:secret
    let auth =
        format!(r#"{{"auths": {{"{}": {{"auth": "YWxpY2U6c2VjcmV0"}}}}}}"#, registry.0.address);
    std::fs::write(config.join("config.json"), auth).expect("a file");
    let mut ls = Command::new(binary());
    ls.env("DOCKER_CONFIG", &config).args(["registry", "ls", "-q", &registry.0.address]);
    assert_eq!(run(&mut ls).ok().stdout, format!("{}\n", hers.join("\n")));
}
