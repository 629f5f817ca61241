//! Acts: an OCI layout in a directory, made or added to from the archive that a copy answers.
//!
//! Blobs take their names once they are whole and have the digest that the name says; the index comes last, in one step.
//! What the layout had before stays, but for what had the same name.

use crate::exit::Failed;
use naru_client::Answer;
use naru_errdefs::{Fault, Kind, ResultExt};
use naru_layer::tar::{EntryKind, Reader};
use naru_oci::{Digest, Digester};
use serde_json::{Value, json};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "org.opencontainers.image.ref.name";
/// The longest index.
const LONGEST: u64 = 4 << 20;
const PIECE: usize = 256 << 10;

/// A layout that is to be written.
#[derive(Debug)]
pub(in crate::commands) struct Layout {
    root: PathBuf,
    /// What its index was.
    before: Option<Value>,
}

impl Layout {
    /// A layout that is there, or a directory that is empty or not there yet.
    pub(in crate::commands) fn open(root: &Path) -> Result<Layout, Fault> {
        let reading = || format!("cannot read `{}`", root.display());
        let before = match std::fs::read_dir(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Fault::io(reading(), error)),
            Ok(mut entries) => match read_index(&root.join("index.json"))? {
                Some(index) => Some(index),
                None if entries.next().is_none() => None,
                None => {
                    return Err(Fault::invalid(format!(
                        "`{}` is neither empty nor an OCI layout",
                        root.display()
                    ))
                    .with_hint("name another directory"));
                }
            },
        };
        Ok(Layout { root: root.to_owned(), before })
    }

    /// Takes an archive in.
    pub(in crate::commands) async fn fill(self, mut answer: Answer) -> Result<(), Failed> {
        let failed = |error| Fault::io("cannot make a pipe", error);
        let (reader, mut writer) = io::pipe().map_err(failed)?;
        let unpacking = std::thread::Builder::new()
            .name("layout".to_owned())
            .spawn(move || self.unpack(BufReader::with_capacity(PIECE, reader)))
            .map_err(failed)?;
        let mut broken = None;
        while let Some(piece) = answer.piece().await? {
            // The thread says why it takes no more.
            if let Err(error) = writer.write_all(&piece) {
                broken = Some(error);
                break;
            }
        }
        drop(writer);
        match unpacking.join() {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(fault.into()),
            Err(_) => return Err(Fault::internal("writing the layout ended early").into()),
        }
        match broken {
            Some(error) => Err(Fault::io("cannot write the layout", error).into()),
            None => Ok(()),
        }
    }

    fn unpack(self, input: impl io::BufRead) -> Result<(), Fault> {
        let writing = || format!("cannot write the layout `{}`", self.root.display());
        std::fs::create_dir_all(&self.root).during(writing)?;
        let mut archive = Reader::new(input);
        let mut index = None;
        while let Some(entry) = archive.next_entry()? {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if entry.kind != EntryKind::File {
                continue;
            }
            if name == "index.json" {
                let bytes = archive.read_all(LONGEST)?.unwrap_or_default();
                index = Some(parse(&bytes).during_json(&name)?);
            } else if let Some(digest) = digest_of(&name) {
                self.blob(digest, entry.stored, &mut archive.body())?;
            }
        }
        let Some(index) = index else {
            return Err(Fault::new(Kind::Unavailable, "the archive broke off: it has no index"));
        };
        let merged = merge(self.before.as_ref(), &index);
        let bytes = serde_json::to_vec(&merged)
            .map_err(|error| Fault::internal("cannot write an index").with_source(error))?;
        self.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.put("index.json", &bytes)
    }

    fn blob(&self, digest: Digest, size: u64, data: &mut impl Read) -> Result<(), Fault> {
        let directory = self.root.join("blobs").join(digest.algorithm().as_str());
        let path = directory.join(digest.hex());
        let writing = || format!("cannot write `{}`", path.display());
        if std::fs::metadata(&path).is_ok_and(|known| known.is_file() && known.len() == size) {
            io::copy(data, &mut io::sink()).during(writing)?;
            return Ok(());
        }
        std::fs::create_dir_all(&directory).during(writing)?;
        let part = Part::new(directory.join(format!(".{}.{}", digest.hex(), std::process::id())));
        let mut file = part.create().during(writing)?;
        let mut digester = Digester::new(digest.algorithm());
        let mut piece = vec![0; PIECE];
        loop {
            let count = data.read(&mut piece).during(writing)?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            digester.update(bytes);
            file.write_all(bytes).during(writing)?;
        }
        let found = digester.finish();
        if found != digest {
            return Err(Fault::new(
                Kind::DataLoss,
                format!("the daemon sent `{found}` as `{digest}`"),
            ));
        }
        part.becomes(&path).during(writing)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.root.join(name);
        let writing = || format!("cannot write `{}`", path.display());
        let part = Part::new(self.root.join(format!(".{name}.{}", std::process::id())));
        part.create().and_then(|mut file| file.write_all(bytes)).during(writing)?;
        part.becomes(&path).during(writing)
    }
}

/// A file on its way to its name; gone when it does not get there.
struct Part(PathBuf);

impl Part {
    fn new(path: PathBuf) -> Part {
        Part(path)
    }

    fn create(&self) -> io::Result<std::fs::File> {
        // What a process of the same number left is in the way.
        std::fs::remove_file(&self.0).ok();
        std::fs::File::options().write(true).create_new(true).open(&self.0)
    }

    fn becomes(&self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

trait DuringJson<T> {
    fn during_json(self, name: &str) -> Result<T, Fault>;
}

impl<T> DuringJson<T> for Option<T> {
    fn during_json(self, name: &str) -> Result<T, Fault> {
        self.ok_or_else(|| Fault::invalid(format!("`{name}` is no index of an OCI layout")))
    }
}

fn read_index(path: &Path) -> Result<Option<Value>, Fault> {
    let name = path.display().to_string();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::io(format!("cannot read `{name}`"), error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).during(|| format!("cannot read `{name}`"))?;
    parse(&bytes).during_json(&name).map(Some)
}

/// Pure: an index of a layout, with whatever else it says.
fn parse(bytes: &[u8]) -> Option<Value> {
    let index: Value = serde_json::from_slice(bytes).ok()?;
    index.get("manifests")?.as_array()?;
    Some(index)
}

/// Pure: the digest that a path of a layout stands for; other paths stand for nothing.
fn digest_of(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Pure: the index with further entries. An entry takes the place of one with its name, or of the same without a name.
fn merge(before: Option<&Value>, new: &Value) -> Value {
    let entries = |index: &Value| -> Vec<Value> {
        index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let name = |entry: &Value| entry.get("annotations")?.get(NAME)?.as_str().map(str::to_owned);
    let mut all = before.map(entries).unwrap_or_default();
    for entry in entries(new) {
        all.retain(|known| match (name(known), name(&entry)) {
            (None, None) => known.get("digest") != entry.get("digest"),
            (known, new) => known != new,
        });
        all.push(entry);
    }
    let mut merged = before.cloned().unwrap_or_else(|| new.clone());
    if let Some(fields) = merged.as_object_mut() {
        fields.insert("manifests".to_owned(), json!(all));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: &str, name: Option<&str>) -> Value {
        match name {
            Some(name) => json!({"digest": digest, "annotations": {NAME: name}}),
            None => json!({"digest": digest}),
        }
    }

    fn index(entries: &[Value]) -> Value {
        json!({"schemaVersion": 2, "manifests": entries})
    }

    #[test]
    fn a_name_moves_and_the_rest_stays() {
        let merged = |before: &[Value], new: Value| {
            merge(Some(&index(before)), &index(&[new]))["manifests"].as_array().unwrap().clone()
        };
        let (a, b) = (entry("a", Some("1")), entry("b", Some("2")));
        assert_eq!(merged(std::slice::from_ref(&a), b.clone()), [a.clone(), b.clone()]);
        assert_eq!(
            merged(&[a.clone(), b.clone()], entry("c", Some("1"))),
            [b, entry("c", Some("1"))]
        );
        let bare = entry("x", None);
        assert_eq!(merged(&[bare.clone(), a.clone()], bare.clone()), [a, bare]);
        let extra = json!({"schemaVersion": 2, "annotations": {"k": "v"}, "manifests": []});
        assert_eq!(merge(Some(&extra), &index(&[]))["annotations"]["k"], "v");
    }

    #[test]
    fn only_blobs_are_written() {
        let digest = Digest::of(b"");
        assert_eq!(digest_of(&format!("blobs/sha256/{}", digest.hex())), Some(digest));
        for path in ["blobs/sha256/../../x", "blobs/sha256/x", "blobs/md5/0", "x", "/etc/passwd"] {
            assert_eq!(digest_of(path), None, "{path}");
        }
    }

    #[test]
    fn other_directories_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Layout::open(dir.path()).is_ok());
        assert!(Layout::open(&dir.path().join("new")).is_ok());
        std::fs::create_dir(dir.path().join("x")).unwrap();
        assert!(Layout::open(dir.path()).unwrap_err().message().contains("neither empty"));
    }
}
