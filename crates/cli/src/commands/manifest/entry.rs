//! Pure: one image of a list, in the form in which docker's client keeps it, and the index that a list becomes.

use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Index, Platform, Reference, media_type};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One image of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) reference: Reference,
    /// What it is, with its platform.
    pub(super) descriptor: Descriptor,
    /// The manifest, byte for byte.
    pub(super) raw: String,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(rename = "Ref")]
    reference: String,
    #[serde(rename = "Descriptor")]
    descriptor: Descriptor,
    #[serde(rename = "SchemaV2Manifest", borrow, default)]
    docker: Option<&'a RawValue>,
    #[serde(rename = "OCIManifest", borrow, default)]
    oci: Option<&'a RawValue>,
}

impl Entry {
    /// Reads the file of an entry.
    pub(super) fn parse(text: &str) -> Result<Entry, Fault> {
        let file: File<'_> = serde_json::from_str(text).map_err(|error| {
            Fault::invalid("not the form of an entry of a manifest list").with_source(error)
        })?;
        let Some(raw) = file.docker.or(file.oci) else {
            return Err(Fault::invalid("the entry of a manifest list has no manifest"));
        };
        Ok(Entry {
            reference: file.reference.parse()?,
            descriptor: file.descriptor,
            raw: raw.get().to_owned(),
        })
    }

    /// What the file of an entry says, and what `inspect -v` shows. The manifest stands in it as it is: its digest must
    /// not change.
    pub(super) fn verbose(&self) -> String {
        let text = |value: &serde_json::Value| value.to_string();
        let key = match self.descriptor.media_type.as_str() {
            media_type::OCI_MANIFEST => "OCIManifest",
            _ => "SchemaV2Manifest",
        };
        format!(
            "{{\"Ref\":{},\"Descriptor\":{},\"{key}\":{}}}",
            text(&serde_json::json!(self.reference.to_string())),
            serde_json::to_string(&self.descriptor).unwrap_or_default(),
            self.raw
        )
    }

    /// Changes the platform: system, architecture, variant and version, where given.
    pub(super) fn annotate(
        &mut self,
        [os, architecture, variant, version]: [Option<&str>; 4],
        features: Vec<String>,
    ) -> Result<(), Fault> {
        let empty = || Platform::new("", "");
        let mut platform = self.descriptor.platform.clone().unwrap_or_else(empty);
        let set = |given: Option<&str>, field: &mut String| {
            if let Some(text) = given {
                text.clone_into(field);
            }
        };
        set(os, &mut platform.os);
        set(architecture, &mut platform.architecture);
        let set_some = |given: Option<&str>, field: &mut Option<String>| {
            if let Some(text) = given {
                *field = Some(text.to_owned()).filter(|text| !text.is_empty());
            }
        };
        set_some(variant, &mut platform.variant);
        set_some(version, &mut platform.os_version);
        for feature in features {
            if !platform.os_features.contains(&feature) {
                platform.os_features.push(feature);
            }
        }
        if !is_known(&platform) {
            return Err(Fault::invalid(format!(
                "manifest entry for image has unsupported os/arch combination: {}/{}",
                platform.os, platform.architecture
            ))
            .with_hint(
                "systems and architectures are Go's: `linux/amd64`, `linux/arm64`, `linux/arm`, …",
            ));
        }
        self.descriptor.platform = Some(platform);
        Ok(())
    }
}

/// Whether Go knows such a platform.
fn is_known(platform: &Platform) -> bool {
    let architectures: &[&str] = match platform.os.as_str() {
        "linux" => &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle",
            "ppc64", "ppc64le", "riscv64", "s390x",
        ],
        "windows" => &["386", "amd64", "arm", "arm64"],
        "darwin" => &["386", "amd64", "arm", "arm64"],
        "freebsd" | "netbsd" | "openbsd" => &["386", "amd64", "arm", "arm64"],
        "android" => &["386", "amd64", "arm", "arm64"],
        "aix" => &["ppc64"],
        "dragonfly" | "illumos" | "solaris" => &["amd64"],
        "ios" => &["arm64", "amd64"],
        "js" | "wasip1" => &["wasm"],
        "plan9" => &["386", "amd64", "arm"],
        _ => &[],
    };
    architectures.contains(&platform.architecture.as_str())
}

/// Every platform is there once, and every entry has one: clients would take the first and never the second.
pub(super) fn check_platforms(entries: &[Entry]) -> Result<(), Fault> {
    let mut seen: Vec<(&Platform, &Reference)> = Vec::new();
    for entry in entries {
        let platform = entry.descriptor.platform.as_ref();
        let Some(platform) = platform
            .filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty())
        else {
            return Err(Fault::invalid(format!(
                "manifest {} must have an OS and Architecture to be pushed to a registry",
                entry.reference
            ))
            .with_hint("say them with `manifest annotate --os … --arch …`"));
        };
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == platform) {
            return Err(Fault::new(
                Kind::Conflict,
                format!("{other} and {} are both for {platform}", entry.reference),
            )
            .with_hint(
                "leave one out; or create the list with one, tell them apart with `manifest annotate`, and add the other with `--amend`",
            ));
        }
        seen.push((platform, &entry.reference));
    }
    Ok(())
}

/// The index of a list: its media type, and its text. It is of the kind of its first image, as docker's client makes it.
pub(super) fn index(entries: &[Entry]) -> Result<(&'static str, String), Fault> {
    let is_oci = entries
        .first()
        .is_some_and(|entry| entry.descriptor.media_type == media_type::OCI_MANIFEST);
    let kind = if is_oci { media_type::OCI_INDEX } else { media_type::DOCKER_LIST };
    let manifests = entries.iter().map(|entry| entry.descriptor.clone()).collect();
    let index = Index { media_type: Some(kind.to_owned()), ..Index::oci(manifests) };
    let text = serde_json::to_string(&index)
        .map_err(|error| Fault::internal("cannot write an index").with_source(error))?;
    Ok((kind, text))
}

/// Everything about the images of a list; one alone stands without brackets.
pub(super) fn verbose(entries: &[Entry]) -> String {
    match entries {
        [only] => only.verbose(),
        all => format!("[{}]", all.iter().map(Entry::verbose).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_oci::{Digest, ManifestOrIndex};

    fn entry(name: &str, platform: Option<&str>, kind: &str) -> Entry {
        let raw = format!("{{ \"schemaVersion\": 2,\n \"x\": \"{name}\" }}");
        let mut descriptor = Descriptor::new(kind, Digest::of(raw.as_bytes()), raw.len() as u64);
        descriptor.platform = platform.map(|text| text.parse().unwrap());
        let reference = name.parse::<Reference>().unwrap().or_latest();
        Entry { reference, descriptor, raw }
    }

    #[test]
    fn an_entry_survives_its_file_byte_for_byte() {
        for kind in [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST] {
            let entry = entry("r:5000/x", Some("linux/arm/v7"), kind);
            let read = Entry::parse(&entry.verbose()).unwrap();
            assert_eq!(read, entry);
            assert_eq!(Digest::of(read.raw.as_bytes()), entry.descriptor.digest);
        }
        for text in ["", "{}", r#"{"Ref":"x"}"#] {
            assert!(Entry::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_platform_once() {
        let kind = media_type::OCI_MANIFEST;
        let (a, b) = (entry("a", Some("linux/amd64"), kind), entry("b", Some("linux/arm64"), kind));
        assert!(check_platforms(&[a.clone(), b.clone()]).is_ok());
        let again = entry("c", Some("linux/amd64"), kind);
        let fault = check_platforms(&[a, b, again]).unwrap_err();
        assert!(fault.message().contains("linux/amd64"), "{fault}");
        let (six, seven) = ("linux/arm/v6", "linux/arm/v7");
        assert!(
            check_platforms(&[entry("a", Some(six), kind), entry("b", Some(seven), kind)]).is_ok()
        );
        assert!(check_platforms(&[entry("a", None, kind)]).is_err());
    }

    #[test]
    fn annotations_have_to_make_sense() {
        let mut one = entry("a", Some("linux/arm"), media_type::OCI_MANIFEST);
        one.annotate([None, None, Some("v7"), None], vec!["sse4".to_owned()]).unwrap();
        let platform = one.descriptor.platform.clone().unwrap();
        assert_eq!(
            (platform.to_string().as_str(), platform.os_features.len()),
            ("linux/arm/v7", 1)
        );
        assert!(one.annotate([Some("linux"), Some("zx80"), None, None], Vec::new()).is_err());
        assert!(one.annotate([Some("beos"), None, None, None], Vec::new()).is_err());
        assert_eq!(one.descriptor.platform, Some(platform), "nothing changed");
        one.annotate([Some("windows"), Some("amd64"), Some(""), Some("10.0")], Vec::new()).unwrap();
        assert_eq!(one.descriptor.platform.unwrap().to_string(), "windows/amd64");
    }

    #[test]
    fn an_index_is_of_the_kind_of_its_images() {
        for (kind, expected) in [
            (media_type::OCI_MANIFEST, media_type::OCI_INDEX),
            (media_type::DOCKER_MANIFEST, media_type::DOCKER_LIST),
        ] {
            let (found, text) = index(&[entry("a", Some("linux/amd64"), kind)]).unwrap();
            assert_eq!(found, expected);
            let Ok(ManifestOrIndex::Index(index)) = ManifestOrIndex::parse(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!(index.manifests.len(), 1);
        }
    }
}
