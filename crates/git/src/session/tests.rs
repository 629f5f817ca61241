use super::*;
use crate::pack::Limits;
use crate::pack::tests::{git, repository};
use crate::{Checkout, check_out};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

/// `git upload-pack` at the other end.
struct Served(Child);

impl Served {
    fn start(dir: &Path, protocol: &str) -> Served {
        let mut command = Command::new("git");
        command
            .args(["-c", "safe.directory=*", "upload-pack"])
            .arg(dir)
            .env("GIT_PROTOCOL", protocol)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Served(command.spawn().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Line for Served {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), Fault> {
        self.0.stdin.as_mut().unwrap().write_all(&message).unwrap();
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        let mut buffer = vec![0; 8192];
        let count = self.0.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
        buffer.truncate(count);
        Ok((count > 0).then(|| buffer.into()))
    }
}

#[derive(Default)]
struct Names(Vec<String>);

impl Checkout for Names {
    type Kept = ();

    fn keep(&mut self, content: &mut dyn Read, _: bool) -> Result<(), Fault> {
        std::io::copy(content, &mut std::io::sink()).unwrap();
        Ok(())
    }

    fn file(&mut self, path: &[u8], _: &(), _: bool) -> Result<(), Fault> {
        self.0.push(String::from_utf8_lossy(path).into_owned());
        Ok(())
    }

    fn directory(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn link(&mut self, path: &[u8], _: &[u8]) -> Result<(), Fault> {
        self.file(path, &(), false)
    }

    fn submodule(&mut self, _: &[u8], _: Oid) -> Result<(), Fault> {
        Ok(())
    }

    fn elsewhere(&mut self, path: &str, _: Oid, rest: &str) -> Result<(), Fault> {
        Err(Fault::invalid(format!("`{rest}` of `{path}`")))
    }
}

fn writer() -> PackWriter {
    PackWriter::new(tempfile::tempfile().unwrap(), Limits::standard())
}

fn names(writer: PackWriter, commit: Oid) -> Vec<String> {
    let running = AtomicBool::new(false);
    let mut pack = writer.finish(&running).unwrap();
    let mut names = Names::default();
    check_out(&mut pack, commit, "", &mut names, &running).unwrap();
    names.0.sort();
    names.0
}

#[tokio::test]
async fn git_serves_what_is_asked_for_in_both_versions() {
    let dir = repository();
    let at = dir.path();
    let parsed = |name: &str| {
        let text = String::from_utf8(git(at, &["rev-parse", name])).unwrap();
        Oid::parse(text.trim()).unwrap()
    };
    let listed = |name: &str| {
        let text = String::from_utf8(git(at, &["ls-tree", "-r", "--name-only", name])).unwrap();
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    for protocol in ["version=2", "version=1", ""] {
        for (reference, means) in [
            (None, "HEAD"),
            (Some("main"), "main"),
            (Some("v1"), "v1^{commit}"),
            (Some("refs/heads/old"), "old"),
        ] {
            let mut session = Session::open(Served::start(at, protocol)).await.unwrap();
            let tip = session.resolve(reference).await.unwrap();
            let commit = tip.commit;
            assert_eq!(commit, parsed(means), "{protocol} {reference:?}");
            let mut pack = writer();
            session.fetch(tip.object, &mut pack).await.unwrap();
            assert_eq!(names(pack, commit), listed(means), "{protocol} {reference:?}");
        }
        let mut session = Session::open(Served::start(at, protocol)).await.unwrap();
        let missing = session.resolve(Some("nothing")).await.unwrap_err();
        assert_eq!(missing.kind(), Kind::NotFound);
        assert!(
            missing.to_string().contains("repository does not contain ref nothing"),
            "{missing}"
        );
    }
    // A commit that no branch begins with: version 2 gives it, the others have it among everything.
    let hidden = parsed("HEAD~7");
    let mut session = Session::open(Served::start(at, "")).await.unwrap();
    let refused = session.fetch(hidden, &mut writer()).await.unwrap_err();
    assert!(refused.to_string().contains("not our ref"), "{refused}");
    for protocol in ["version=2", ""] {
        let mut session = Session::open(Served::start(at, protocol)).await.unwrap();
        let mut pack = writer();
        session.fetch_all(&mut pack).await.unwrap();
        assert_eq!(names(pack, hidden), listed("HEAD~7"));
    }
    git(at, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    for protocol in ["version=2", ""] {
        let mut session = Session::open(Served::start(at, protocol)).await.unwrap();
        let mut pack = writer();
        session.fetch(hidden, &mut pack).await.unwrap();
        assert_eq!(names(pack, hidden), listed("HEAD~7"));
    }
}

#[tokio::test]
async fn a_server_that_is_none_is_said_to_be_none() {
    struct Says(Vec<&'static [u8]>);
    impl Line for Says {
        async fn send(&mut self, _: Vec<u8>) -> Result<(), Fault> {
            Ok(())
        }

        async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
            Ok((!self.0.is_empty()).then(|| Bytes::from_static(self.0.remove(0))))
        }
    }
    for (pieces, words) in [
        (vec![&b"<html>"[..]], "does not speak git's protocol"),
        (vec![], "ended the connection"),
        (vec![b"000eversion 2\n"], "ended the connection"),
        (vec![b"0001"], "does not speak"),
        (vec![b"0011ERR go away\n\n"], "refuses: go away"),
        (vec![b"000eversion 2\n001a", b"object-format=sha256\n\n0000"], "SHA-256"),
    ] {
        let fault = Session::open(Says(pieces)).await.map(drop).unwrap_err();
        assert!(fault.to_string().contains(words), "{words}: {fault}");
    }
    let mut session = Session::open(Says(vec![
        b"000eversion 2\n0000",
        b"0036aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa refs/heads/x\n0000",
        b"000dpackfile\n000a\x01PACK\n000b\x03broken",
    ]))
    .await
    .unwrap();
    let fault = session.resolve(Some("x")).await.unwrap_err();
    assert!(fault.to_string().contains("protocol"), "{fault}");
}
