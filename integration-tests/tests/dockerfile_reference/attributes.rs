//! The extended attributes of a layer's entries, read from its PAX records; and proof that images which differ in them alone are
//! told apart. Pure.

use std::collections::BTreeMap;
use std::io::Read;

/// The attributes of one file.
pub type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Those of every entry, in the order in which `tar::Archive::entries` yields them. The library's own reader of records takes a
/// line end within a value, which many capabilities have, for the end of the record.
pub fn of(layer: &[u8]) -> Vec<Attributes> {
    let mut all = Vec::new();
    let mut next = Attributes::new();
    let mut archive = tar::Archive::new(layer);
    for entry in archive.entries().expect("a layer").raw(true) {
        let mut entry = entry.expect("a layer");
        match entry.header().entry_type() {
            tar::EntryType::GNULongName | tar::EntryType::GNULongLink => {}
            tar::EntryType::XHeader => {
                let mut records = Vec::new();
                entry.read_to_end(&mut records).expect("a layer");
                next = read(&records);
            }
            _ => all.push(std::mem::take(&mut next)),
        }
    }
    all
}

/// `LENGTH KEY=VALUE\n`, again and again.
fn read(mut records: &[u8]) -> Attributes {
    let mut attributes = Attributes::new();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').expect("a length");
        let length = std::str::from_utf8(&records[..space]).expect("a length");
        let length: usize = length.parse().expect("a length");
        let record = records[space + 1..length].strip_suffix(b"\n").expect("a line end");
        let equals = record.iter().position(|byte| *byte == b'=').expect("a value");
        if let Some(name) = record[..equals].strip_prefix(b"SCHILY.xattr.") {
            attributes.insert(name.to_vec(), record[equals + 1..].to_vec());
        }
        records = &records[length..];
    }
    attributes
}

/// A record of an attribute.
fn record(name: &str, value: &[u8]) -> Vec<u8> {
    let rest = " SCHILY.xattr.".len() + name.len() + "=\n".len() + value.len();
    let length = (1..).map(|digits| rest + digits).find(|sum| sum.to_string().len() + rest == *sum);
    let mut record = format!("{} SCHILY.xattr.{name}=", length.expect("a length")).into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// Adds the records of the entry that comes next.
pub fn append(tar: &mut tar::Builder<Vec<u8>>, attributes: &[(&str, &[u8])]) {
    let records: Vec<u8> =
        attributes.iter().flat_map(|(name, value)| record(name, value)).collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_cksum();
    tar.append(&header, records.as_slice()).expect("a tar in memory");
}

/// `cap_dac_override,cap_fowner=ep`: the second word of it is a line end.
pub const CAPABILITY: &[u8] = &[1, 0, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(test)]
mod proof {
    use super::*;
    use crate::image::{self, Image, Node};

    /// An image, saved, of one layer with something of every kind; one of its entries has attributes.
    fn saved(with: &str, attributes: &[(&str, &[u8])]) -> Image {
        let mut layer = tar::Builder::new(Vec::new());
        for (name, kind, target) in [
            ("d/", tar::EntryType::Directory, ""),
            ("d/f", tar::EntryType::Regular, ""),
            ("d/l", tar::EntryType::Symlink, "f"),
            ("d/p", tar::EntryType::Fifo, ""),
            (LONG, tar::EntryType::Regular, ""),
            ("z", tar::EntryType::Link, "d/f"),
        ] {
            if name == with {
                append(&mut layer, attributes);
            }
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_size(0);
            match target {
                "" => layer.append_data(&mut header, name, &b""[..]).expect("a tar in memory"),
                _ => layer.append_link(&mut header, name, target).expect("a tar in memory"),
            }
        }
        let layer = layer.into_inner().expect("a tar in memory");
        let list = br#"[{"Config": "c", "Layers": ["l"], "RepoTags": ["t"]}]"#;
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in [("manifest.json", &list[..]), ("c", b"{}"), ("l", &layer)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).expect("a tar in memory");
        }
        let archive = archive.into_inner().expect("a tar in memory");
        image::read(&archive, 1).remove("t").expect("the image")
    }

    /// Longer than a header's place for names.
    const LONG: &str = "d/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

    fn node<'a>(image: &'a Image, path: &str) -> &'a Node {
        &image.tree[path.trim_end_matches('/')]
    }

    #[test]
    fn images_that_differ_in_an_attribute_of_any_entry_differ() {
        let plain = saved("", &[]);
        for with in ["d/", "d/f", "d/l", "d/p", LONG] {
            for (name, value) in [
                ("security.capability", CAPABILITY),
                ("security.capability", b"other\nwith = and \0"),
                ("security.capability", b""),
            ] {
                let other = saved(with, &[(name, value)]);
                let differing: Vec<&str> = plain
                    .tree
                    .keys()
                    .filter(|path| !node(&plain, path).is_like(node(&other, path)))
                    .map(String::as_str)
                    .collect();
                let with = with.trim_end_matches('/');
                // Another name of a file is the same file.
                let wanted = if with == "d/f" { vec!["d/f", "z"] } else { vec![with] };
                assert_eq!(differing, wanted, "{name}={value:?}");
                assert!(node(&other, with).is_like(node(&other, with)));
                assert!(node(&other, with).to_string().contains(" +security.capability="));
            }
        }
        // Nor is it only seen whether there is one.
        let [one, two] =
            [CAPABILITY, b"\n"].map(|value| saved("d/f", &[("security.capability", value)]));
        assert!(!node(&one, "d/f").is_like(node(&two, "d/f")));
    }
}
