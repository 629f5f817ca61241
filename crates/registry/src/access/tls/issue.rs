//! Certificates made by ourselves. Acts: an authority of the registry's own, and a server certificate by it, kept in its directory.
//!
//! ```text
//! tls/ca.crt        the authority's certificate: what clients must trust; good for ten years
//! tls/ca.key        its key, for its owner alone
//! tls/server.crt    the server's certificate; made anew when the names change, and a month before it ends
//! tls/server.key    its key, for its owner alone
//! tls/server.json   which names it has and when it ends; written last
//! ```

use naru_errdefs::{Fault, ResultExt};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// File name of the authority's certificate.
pub const CA_FILE: &str = "ca.crt";
const CA_KEY_FILE: &str = "ca.key";
const CERT_FILE: &str = "server.crt";
const KEY_FILE: &str = "server.key";
const NOTE_FILE: &str = "server.json";

/// Browsers and Apple's systems take no server certificate that is good for longer than 825 days.
const SERVER_DAYS: i64 = 800;
const CA_DAYS: i64 = 3653;
const RENEW_DAYS: i64 = 30;
/// Clocks differ, and a box in the field may start with one that is behind.
const BACK_DATED_DAYS: i64 = 2;

/// A server certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate's file.
    pub cert: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Note {
    names: Vec<String>,
    /// Seconds since 1970.
    ends: i64,
}

/// The files that matter to a server that runs.
pub(super) fn files(directory: &Path) -> [PathBuf; 2] {
    [directory.join(CERT_FILE), directory.join(KEY_FILE)]
}

/// Pure: whether a certificate can be made for a name.
pub(super) fn check_name(name: &str) -> Result<(), Fault> {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
    };
    if name.parse::<IpAddr>().is_ok() || host.len() <= 253 && host.split('.').all(label) {
        return Ok(());
    }
    Err(Fault::invalid(format!("`{name}` is neither a host name nor an address"))
        .with_hint("write names and addresses without a port, as registry.example,10.0.0.5"))
}

/// Whether the certificate that is there should be made anew.
pub(super) fn is_due(directory: &Path, names: &[String]) -> bool {
    let note = std::fs::read(directory.join(NOTE_FILE)).ok();
    let note: Option<Note> = note.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let renew = OffsetDateTime::now_utc() + Duration::days(RENEW_DAYS);
    note.is_none_or(|note| note.names != names || note.ends < renew.unix_timestamp())
        || files(directory).iter().any(|file| !file.exists())
}

/// A certificate for some names: the one that is there, or a new one.
pub(super) fn issue(directory: &Path, names: &[String]) -> Result<Issued, Fault> {
    let [cert, key] = files(directory);
    if !is_due(directory, names) {
        return Ok(Issued { cert, key });
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .during(|| format!("cannot make `{}`", directory.display()))?;
    let authority = authority(directory)?;
    let ends = OffsetDateTime::now_utc() + Duration::days(SERVER_DAYS);
    let mut params = CertificateParams::default();
    for name in names {
        check_name(name)?;
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_name) => SanType::DnsName(name.as_str().try_into().map_err(faulty)?),
        });
    }
    params.distinguished_name = DistinguishedName::new();
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.not_before = OffsetDateTime::now_utc() - Duration::days(BACK_DATED_DAYS);
    params.not_after = ends;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pair = KeyPair::generate().map_err(faulty)?;
    let certificate = params.signed_by(&pair, &authority).map_err(faulty)?;
    put(&key, &pair.serialize_pem(), 0o600)?;
    put(&cert, &certificate.pem(), 0o644)?;
    let note = Note { names: names.to_vec(), ends: ends.unix_timestamp() };
    let note = serde_json::to_string(&note)
        .map_err(|error| Fault::internal("cannot write a note").with_source(error))?;
    put(&directory.join(NOTE_FILE), &note, 0o644)?;
    Ok(Issued { cert, key })
}

/// The authority, made when it is not there. Only the key is needed to be it again: all else follows from it.
fn authority(directory: &Path) -> Result<Issuer<'static, KeyPair>, Fault> {
    let (path, cert) = (directory.join(CA_KEY_FILE), directory.join(CA_FILE));
    let pair = match std::fs::read_to_string(&path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| {
            Fault::invalid(format!("`{}` is no private key", path.display()))
                .with_source(error)
                .with_hint(
                    "remove the directory: a new authority is made, which clients must be told of",
                )
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let pair = KeyPair::generate().map_err(faulty)?;
            put(&path, &pair.serialize_pem(), 0o600)?;
            pair
        }
        Err(error) => return Err(Fault::io(format!("cannot read `{}`", path.display()), error)),
    };
    let mut params = CertificateParams::default();
    // Authorities of different registries have different names, so that a client may trust several.
    let name = ring::digest::digest(&ring::digest::SHA256, pair.public_key_raw());
    let name = hex::encode(name.as_ref().get(..4).unwrap_or_default());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Naru registry {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(BACK_DATED_DAYS);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(CA_DAYS);
    if !cert.exists() {
        let certificate = params.self_signed(&pair).map_err(faulty)?;
        put(&cert, &certificate.pem(), 0o644)?;
    }
    Ok(Issuer::new(params, pair))
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), Fault> {
    naru_kernel::fs::write_atomic(path, text.as_bytes(), mode)
        .during(|| format!("cannot keep `{}`", path.display()))
}

fn faulty(error: rcgen::Error) -> Fault {
    Fault::internal("cannot make a certificate").with_source(error)
}
