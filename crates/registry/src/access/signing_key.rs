//! The key that the registry signs its tokens with. Acts: made at the first start, kept in the root for its owner alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use naru_errdefs::{Fault, ResultExt};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A P-256 key pair.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
    id: String,
    random: SystemRandom,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What stands before the point in the DER form of a P-256 public key (RFC 5480).
const P256_PUBLIC_KEY_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl SigningKey {
    /// The key of a file, made when it is not there.
    pub(crate) fn open(path: &Path) -> Result<SigningKey, Fault> {
        let shown = path.display();
        match std::fs::read(path) {
            Ok(pem) => {
                let mode = std::fs::metadata(path)
                    .during(|| format!("cannot look at the token key `{shown}`"))?
                    .permissions()
                    .mode();
                if mode & 0o077 != 0 {
                    return Err(Fault::invalid(format!(
                        "the token key `{shown}` can be read or changed by others (mode {:o})",
                        mode & 0o777
                    ))
                    .with_hint("remove it, and a new one is made; or `chmod 600` it, if nobody has read it"));
                }
                let damaged = || {
                    Fault::invalid(format!("the token key `{shown}` is no P-256 key in PEM form"))
                        .with_hint("remove it: a new one is made, and clients fetch new tokens by themselves")
                };
                let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_other| damaged())?;
                SigningKey::of(der.secret_pkcs8_der()).ok_or_else(damaged)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = SigningKey::generate()
                    .ok_or_else(|| Fault::internal("cannot make a token key"))?;
                naru_kernel::fs::write_atomic(path, key.pem().as_bytes(), 0o600)
                    .during(|| format!("cannot keep the token key `{shown}`"))?;
                Ok(key)
            }
            Err(error) => Err(Fault::io(format!("cannot read the token key `{shown}`"), error)),
        }
    }

    /// A new key.
    pub(crate) fn generate() -> Option<SigningKey> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).ok()?;
        SigningKey::of(pkcs8.as_ref())
    }

    fn of(pkcs8: &[u8]) -> Option<SigningKey> {
        let random = SystemRandom::new();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        let id = key_id(&public);
        Some(SigningKey { pair, pkcs8: pkcs8.to_vec(), public, id, random })
    }

    /// What tokens call it (`kid`).
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.pair.sign(&self.random, message).ok()?.as_ref().to_vec())
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public)
            .verify(message, signature)
            .is_ok()
    }

    /// The private key, PKCS#8.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    fn pem(&self) -> String {
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let encoded = STANDARD.encode(&self.pkcs8);
        for (at, character) in encoded.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        pem
    }

    #[cfg(test)]
    pub(crate) fn with_id(self, id: &str) -> SigningKey {
        SigningKey { id: id.to_owned(), ..self }
    }
}

/// Pure: the name that docker's registries know keys by: the first 240 bits of the SHA-256 of the public key, in base 32, four
/// characters a group. So a registry of another make takes our tokens when it is given our certificate.
fn key_id(public: &[u8]) -> String {
    let spki = [&P256_PUBLIC_KEY_PREFIX, public].concat();
    let hash = digest(&SHA256, &spki);
    let mut id = String::with_capacity(59);
    let bits =
        hash.as_ref().iter().take(30).flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut value = 0usize;
    for (at, bit) in bits.enumerate() {
        value = value << 1 | usize::from(bit);
        if at % 5 == 4 {
            if at % 20 == 4 && at > 5 {
                id.push(':');
            }
            let letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".get(value).copied().unwrap_or(b'A');
            id.push(char::from(letter));
            value = 0;
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token.key");
        let made = SigningKey::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = SigningKey::open(&path).unwrap();
        assert_eq!(made.id(), read.id());
        assert!(read.verify(b"x", &made.sign(b"x").unwrap()));
        assert!(!read.verify(b"y", &made.sign(b"x").unwrap()));
        assert!(!format!("{made:?}").contains("pkcs8"));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(SigningKey::open(&path).unwrap_err().message().contains("mode 640"));
        naru_kernel::fs::write_atomic(&path, b"nonsense", 0o600).unwrap();
        assert!(SigningKey::open(&path).unwrap_err().message().contains("no P-256 key"));
    }

    #[test]
    fn key_ids_have_the_shape_of_dockers() {
        let id = SigningKey::generate().unwrap().id().to_owned();
        assert_eq!(id.split(':').count(), 12, "{id}");
        assert!(id.split(':').all(|group| group.len() == 4), "{id}");
    }
}
