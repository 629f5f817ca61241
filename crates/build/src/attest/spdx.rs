//! Pure: a list of packages as a document of SPDX 2.3.

use super::About;
use super::packages::{Kind, Listed, Package};
use serde_json::{Value, json};

/// The type of the predicate.
pub(super) const PREDICATE: &str = "https://spdx.dev/Document";
const NOT_SAID: &str = "NOASSERTION";

/// The document about an image of this name.
pub(super) fn document(listed: &Listed, name: &str, about: &About<'_>) -> Value {
    let mut packages = vec![json!({
        "name": name,
        "SPDXID": "SPDXRef-Image",
        "versionInfo": about.manifest.digest.to_string(),
        "downloadLocation": NOT_SAID,
        "filesAnalyzed": false,
        "licenseConcluded": NOT_SAID,
        "licenseDeclared": NOT_SAID,
        "copyrightText": NOT_SAID,
        "primaryPackagePurpose": "CONTAINER",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")];
    for (number, package) in listed.packages.iter().enumerate() {
        let id = id(package, number);
        relationships.push(relationship("SPDXRef-Image", "CONTAINS", &id));
        let mut entry = json!({
            "name": package.name,
            "SPDXID": id,
            "versionInfo": package.version,
            "downloadLocation": NOT_SAID,
            "filesAnalyzed": false,
            "licenseConcluded": NOT_SAID,
            "licenseDeclared": NOT_SAID,
            "copyrightText": NOT_SAID,
            "sourceInfo": format!("found in {}", package.found_in),
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl(package, listed),
            }],
        });
        if let (Some(license), Some(fields)) = (&package.license, entry.as_object_mut()) {
            // Not every word that packages write is an expression of SPDX.
            fields.insert("licenseComments".to_owned(), format!("declared as: {license}").into());
        }
        packages.push(entry);
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("urn:naru:sbom:{}", about.manifest.digest),
        "creationInfo": {
            "created": about.created,
            "creators": [concat!("Tool: naru-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    });
    if let Some(fields) = document.as_object_mut()
        && listed.has_rpm
    {
        fields
            .insert("comment".to_owned(), "packages of rpm are in the image and not listed".into());
    }
    document
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn id(package: &Package, number: usize) -> String {
    let plain =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = package.name.chars().take(100).map(plain).collect();
    format!("SPDXRef-Package-{}-{name}-{number}", package.kind.word())
}

/// The package URL.
fn purl(package: &Package, listed: &Listed) -> String {
    let (name, version) = (escaped(&package.name), escaped(&package.version));
    let system = escaped(&listed.system);
    let architecture = escaped(&package.architecture);
    match package.kind {
        Kind::Deb | Kind::Apk => {
            let distribution = match listed.release.is_empty() {
                true => String::new(),
                false => format!("&distro={system}-{}", escaped(&listed.release)),
            };
            let kind = package.kind.word();
            format!("pkg:{kind}/{system}/{name}@{version}?arch={architecture}{distribution}")
        }
        Kind::Python => {
            format!("pkg:pypi/{}@{version}", name.to_ascii_lowercase().replace('_', "-"))
        }
        Kind::Npm => format!("pkg:npm/{}@{version}", name.replace("%2F", "/")),
    }
}

/// As a part of a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_urls() {
        let listed =
            Listed { system: "debian".to_owned(), release: "13".to_owned(), ..Listed::default() };
        for (kind, name, url) in [
            (
                Kind::Deb,
                "libc++1",
                "pkg:deb/debian/libc%2B%2B1@1%3A2-3?arch=amd64&distro=debian-13",
            ),
            (Kind::Python, "My_Thing", "pkg:pypi/my-thing@1%3A2-3"),
            (Kind::Npm, "@a/b", "pkg:npm/%40a/b@1%3A2-3"),
        ] {
            let package = Package {
                kind,
                name: name.to_owned(),
                version: "1:2-3".to_owned(),
                architecture: "amd64".to_owned(),
                license: None,
                found_in: String::new(),
            };
            assert_eq!(purl(&package, &listed), url);
            let id = id(&package, 1);
            assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)), "{id}");
        }
    }
}
