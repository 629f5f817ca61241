//! Pure: the tree of a context.

use crate::way::{Way, joined, parts};
use naru_kernel::times::FileTime;
use naru_kernel::xattr::CAPABILITY;
use naru_oci::Digest;
use std::collections::BTreeMap;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// The digest of its bytes.
        digest: Digest,
        /// How many there are.
        size: u64,
    },
    /// A symbolic link to this target.
    Link(Vec<u8>),
}

/// An entry of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Permission bits.
    pub mode: u32,
    /// When it was changed.
    pub modified: FileTime,
    /// Extended attributes, as they came: they are not copied into images, but docker's histories tell of some.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The entries of a context by path, without slashes at either end. The root has no entry. Whose the files are where they
/// come from does not matter: in an image they are root's unless the Dockerfile says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub(crate) entries: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Adds an entry, with directories above it that are not there yet.
    pub fn insert(&mut self, path: Vec<u8>, node: Node) {
        let mut at = 0;
        while let Some(slash) = path.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'/'))
        {
            let above = path.get(..at + slash).unwrap_or_default();
            if !self.entries.contains_key(above) {
                self.entries.insert(above.to_vec(), Node::directory(node.modified));
            }
            at += slash + 1;
        }
        self.entries.insert(path, node);
    }

    /// Copies the directories above a path to another tree, where it has none.
    pub(crate) fn above(&self, path: &[u8], other: &mut Tree) {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (at, _) in slashes {
            let above = path.get(..at).unwrap_or_default();
            if !other.entries.contains_key(above)
                && let Some(node) = self.entries.get(above)
            {
                other.entries.insert(above.to_vec(), node.clone());
            }
        }
    }

    /// The entry of a path, no link followed.
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.entries.get(path)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.entries.iter().map(|(path, node)| (path.as_slice(), node))
    }

    /// The entries below a directory, which itself is not among them.
    pub fn below<'a>(&'a self, path: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a Node)> + 'a {
        let mut start = path.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let prefix = start.clone();
        self.entries
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, node)| (path.as_slice(), node))
    }

    /// The names directly in a directory.
    pub fn children<'a>(&'a self, path: &[u8]) -> impl Iterator<Item = (&'a [u8], &'a Node)> + 'a {
        let mut prefix = path.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let mut next = prefix.clone();
        std::iter::from_fn(move || {
            loop {
                let (found, node) = self.entries.range(next.clone()..).next()?;
                let name = found.strip_prefix(prefix.as_slice())?;
                if let Some(slash) = name.iter().position(|byte| *byte == b'/') {
                    // What is in a directory that was listed: on with what follows all of it.
                    next = found.get(..prefix.len() + slash).unwrap_or_default().to_vec();
                    next.push(b'/' + 1);
                    continue;
                }
                next.clone_from(found);
                next.push(0);
                return Some((name, node));
            }
        })
    }

    /// Files that had the capabilities of a program where they come from.
    pub fn capable(&self) -> impl Iterator<Item = &[u8]> {
        let is_capable = |node: &Node| node.attributes.iter().any(|(name, _)| name == CAPABILITY);
        self.entries
            .iter()
            .filter(move |(_, node)| is_capable(node))
            .map(|(path, _)| path.as_slice())
    }

    /// Where a path leads when every link is followed inside the context, and what is there. The root has no node; a path that
    /// leads to it is not found.
    pub fn follow(&self, path: &[u8]) -> Option<(Vec<u8>, &Node)> {
        let real = self.resolve(path)?;
        let node = self.entries.get(&real)?;
        Some((real, node))
    }

    /// Where a path leads when every link is followed inside the context; nothing when something on the way is missing or
    /// links run in circles. The root is the empty path.
    pub fn resolve(&self, path: &[u8]) -> Option<Vec<u8>> {
        let mut way = Way::of(path);
        while let Some(part) = way.advance() {
            match &self.entries.get(&joined(way.so_far(), &part))?.content {
                Content::Link(target) if way.follow(target) => {}
                Content::Link(_) => return None,
                Content::File { .. } if !way.is_at_end() => return None,
                Content::File { .. } | Content::Directory => way.enter(&part),
            }
        }
        Some(way.end())
    }
}

impl Node {
    /// A directory that nobody described.
    pub fn directory(modified: FileTime) -> Node {
        Node { content: Content::Directory, mode: 0o755, modified, attributes: Vec::new() }
    }
}

/// A path of an archive without `.` and slashes at the ends; nothing when it leads out of the context.
pub(crate) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut clean: Vec<u8> = Vec::with_capacity(path.len());
    for part in parts(path) {
        if part == b".." {
            return None;
        }
        if !clean.is_empty() {
            clean.push(b'/');
        }
        clean.extend_from_slice(part);
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree::default();
        for (path, link) in entries {
            let content = match link {
                Some(target) => Content::Link(target.as_bytes().to_vec()),
                None => Content::File { digest: Digest::of(path.as_bytes()), size: 1 },
            };
            let node = Node {
                content,
                mode: 0o644,
                modified: FileTime::default(),
                attributes: Vec::new(),
            };
            tree.insert(path.as_bytes().to_vec(), node);
        }
        tree
    }

    #[test]
    fn links_are_followed_inside_and_never_outside() {
        let tree = tree(&[
            ("a/file", None),
            ("a/up", Some("../b")),
            ("b/other", None),
            ("abs", Some("/a")),
            ("out", Some("../../../etc/passwd")),
            ("round", Some("round")),
            ("in", Some("../../a/file")),
        ]);
        let check = |path: &str, want: Option<&str>| {
            let found = tree.resolve(path.as_bytes());
            let found = found.map(|path| String::from_utf8(path).unwrap());
            assert_eq!(found.as_deref(), want, "{path}");
        };
        check("a/file", Some("a/file"));
        check("/a/./file", Some("a/file"));
        check("a/up/other", Some("b/other"));
        check("abs/file", Some("a/file"));
        check("abs", Some("a"));
        check("in", Some("a/file"));
        check("a/up/..", Some(""));
        check(".", Some(""));
        check("out", None);
        check("round", None);
        check("a/file/x", None);
        check("missing", None);
    }

    #[test]
    fn directories_above_are_made_and_children_found() {
        let tree = tree(&[("a/b/c", None), ("a/d", None), ("ab", None)]);
        assert_eq!(tree.len(), 5);
        let names = |path: &str| -> Vec<String> {
            let children = tree.children(path.as_bytes());
            children.map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect()
        };
        assert_eq!(names(""), ["a", "ab"]);
        assert_eq!(names("a"), ["b", "d"]);
        assert_eq!(tree.below(b"a").count(), 3);
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        for (path, want) in [
            ("./a//b/", Some("a/b")),
            ("/a", Some("a")),
            (".", Some("")),
            ("a/../b", None),
            ("../a", None),
        ] {
            assert_eq!(clean(path.as_bytes()).as_deref(), want.map(str::as_bytes), "{path}");
        }
    }
}
