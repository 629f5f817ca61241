//! Images as they are saved: configuration, history, and the tree of files that all layers make. Pure.

use crate::attributes::{self, Attributes};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

/// One image.
#[derive(Debug)]
pub struct Image {
    /// Its configuration document.
    pub config: Value,
    /// Its files by path.
    pub tree: BTreeMap<String, Node>,
    /// Its layers that hold anything.
    pub layers: usize,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    mode: u32,
    owner: (u64, u64),
    kind: Kind,
    attributes: Attributes,
    /// When it was changed; nothing for times since the test began.
    modified: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Link(String),
    Other(String),
}

/// `755 0:0 /`, `644 1:2 "text"`, `777 0:0 -> target`, with `+name=value` for each extended attribute.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:o} {}:{} ", self.mode, self.owner.0, self.owner.1)?;
        match &self.kind {
            Kind::Directory => f.write_str("/")?,
            Kind::File(content) if content.len() > 200 => write!(f, "({} bytes)", content.len())?,
            Kind::File(content) => write!(f, "{:?}", String::from_utf8_lossy(content))?,
            Kind::Link(target) => write!(f, "-> {target}")?,
            Kind::Other(kind) => f.write_str(kind)?,
        }
        for (name, value) in &self.attributes {
            write!(f, " +{}={}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

impl Node {
    /// Whether it is what the peer's is. The peer saves capabilities alone of all that its own containers see of attributes
    /// (`docs/build.md`), so only those are compared; what ours has of others, sentences say one by one. A directory's time counts only where both have an old one: the peer's are often
    /// those of the build, or of RUN's own files in `/etc`.
    pub fn is_like(&self, other: &Node) -> bool {
        let times = self.modified == other.modified
            || self.kind == Kind::Directory
                && (self.modified.is_none() || other.modified.is_none());
        let modified = self.modified;
        let mut own = self.clone();
        own.attributes.retain(|name, _| name == b"security.capability");
        times && own == Node { modified, ..other.clone() }
    }

    /// Whether it may be what a mount was put on.
    pub fn is_place_of_mount(&self) -> bool {
        match &self.kind {
            Kind::Directory => self.owner == (0, 0) && self.mode == 0o755,
            Kind::File(content) => content.is_empty(),
            Kind::Link(_) | Kind::Other(_) => false,
        }
    }

    /// The seconds of its time, unless it is as young as the test.
    pub fn modified(&self) -> Option<u64> {
        self.modified
    }
}

/// Every image of an archive, by its tag.
pub fn read(archive: &[u8], since: u64) -> BTreeMap<String, Image> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().expect("an archive") {
        let mut entry = entry.expect("an archive");
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        if let Some(target) = entry.link_name_bytes() {
            // One layer that several images share: `../ID/layer.tar`.
            let target = String::from_utf8_lossy(&target).trim_start_matches("../").to_owned();
            links.push((name, target));
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("an archive");
        files.insert(name, bytes);
    }
    for (name, target) in links {
        let bytes = files.get(&target).cloned().unwrap_or_default();
        files.insert(name, bytes);
    }
    let list: Value = serde_json::from_slice(&files["manifest.json"]).expect("a list of images");
    let mut images = BTreeMap::new();
    for image in list.as_array().expect("a list of images") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let config = serde_json::from_slice(&files[&text(&image["Config"])]).expect("a config");
        let mut tree = BTreeMap::new();
        let mut layers = 0;
        for layer in image["Layers"].as_array().into_iter().flatten() {
            layers += usize::from(apply(&mut tree, &inflated(&files[&text(layer)]), since));
        }
        for tag in image["RepoTags"].as_array().into_iter().flatten() {
            let (config, tree): (Value, _) = (Clone::clone(&config), tree.clone());
            images.insert(text(tag), Image { config, tree, layers });
        }
    }
    images
}

fn inflated(layer: &[u8]) -> Vec<u8> {
    if !layer.starts_with(&[0x1f, 0x8b]) {
        return layer.to_vec();
    }
    let mut bytes = Vec::new();
    integration_tests::image::inflating(layer).read_to_end(&mut bytes).expect("gzip");
    bytes
}

/// Applies a layer; says whether there is anything in it.
fn apply(tree: &mut BTreeMap<String, Node>, layer: &[u8], since: u64) -> bool {
    let mut any = false;
    let mut put = BTreeSet::new();
    let mut all = attributes::of(layer).into_iter();
    for entry in tar::Archive::new(layer).entries().expect("a layer") {
        let mut entry = entry.expect("a layer");
        let attributes = all.next().expect("as many entries");
        any = true;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let below = |path: &str| if path.is_empty() { String::new() } else { format!("{path}/") };
        if name == ".wh..wh..opq" {
            let gone = below(above);
            tree.retain(|known, _| !known.starts_with(&gone) || put.contains(known));
            continue;
        }
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let hidden = format!("{}{hidden}", below(above));
            tree.retain(|known, _| *known != hidden && !known.starts_with(&below(&hidden)));
            continue;
        }
        let header = entry.header().clone();
        let link =
            entry.link_name_bytes().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a layer");
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(link.unwrap_or_default()),
            tar::EntryType::Link => {
                let target = link.unwrap_or_default();
                let target = target.trim_start_matches("./").trim_start_matches('/');
                let node = tree.get(target).cloned().expect("a link to what is there");
                tree.insert(path.clone(), node);
                put.insert(path);
                continue;
            }
            tar::EntryType::Regular => Kind::File(content),
            other => Kind::Other(format!("{other:?}")),
        };
        if kind != Kind::Directory {
            tree.retain(|known, _| !known.starts_with(&below(&path)) || path.is_empty());
        }
        let modified = header.mtime().ok().filter(|time| *time < since);
        let owner = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
        let mode = header.mode().unwrap_or(0) & 0o7777;
        tree.insert(path.clone(), Node { mode, owner, kind, attributes, modified });
        put.insert(path);
    }
    any
}

/// What a container gets of a configuration, without what says nothing.
pub fn defaults(image: &Image) -> Map<String, Value> {
    let mut all = image.config["config"].as_object().cloned().unwrap_or_default();
    let is_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    };
    // The builder's own container is nobody's promise.
    for name in ["Hostname", "Image", "ArgsEscaped"] {
        all.remove(name);
    }
    all.retain(|_, value| !is_nothing(value));
    for name in ["architecture", "os", "author"] {
        if let Some(value) = image.config.get(name).filter(|value| !is_nothing(value)) {
            all.insert(name.to_owned(), value.clone());
        }
    }
    all
}

/// The history: who made each line, and whether without a layer.
pub fn history(image: &Image) -> Vec<String> {
    let lines = image.config["history"].as_array().into_iter().flatten();
    lines
        .map(|line| {
            let made = line["created_by"].as_str().unwrap_or_default();
            let empty = line["empty_layer"].as_bool().unwrap_or_default();
            format!("{}{made}", if empty { "(no layer) " } else { "" })
        })
        .collect()
}
