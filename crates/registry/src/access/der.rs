//! The common name in a certificate's subject (RFC 5280, 4.1), read by the few rules of DER that it takes. Pure.
//!
//! The certificate was verified before; still nothing here trusts its lengths.

use super::credentials::is_user_name;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// The version of a certificate: explicit tag 0.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;

/// The common name of a certificate's subject, when there is exactly one and it may be a user's name. With two it is not
/// known which one the certificate's maker meant.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = of_kind(certificate, SEQUENCE)?;
    let (mut fields, _) = of_kind(certificate, SEQUENCE)?;
    if let Some((_version, rest)) = of_kind(fields, VERSION) {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer, validity; then the subject.
    for _ in 0..4 {
        let (_kind, _content, rest) = element(fields)?;
        fields = rest;
    }
    let (mut subject, _) = of_kind(fields, SEQUENCE)?;
    let mut found = None;
    while !subject.is_empty() {
        let (mut attributes, rest) = of_kind(subject, SET)?;
        subject = rest;
        while !attributes.is_empty() {
            let (attribute, rest) = of_kind(attributes, SEQUENCE)?;
            attributes = rest;
            let (id, value) = of_kind(attribute, OBJECT_ID)?;
            if id != COMMON_NAME {
                continue;
            }
            let (kind, text, _) = element(value)?;
            if !matches!(kind, UTF8 | PRINTABLE | IA5) || found.is_some() {
                return None;
            }
            found = Some(std::str::from_utf8(text).ok()?.to_owned());
        }
    }
    found.filter(|name| is_user_name(name))
}

/// The content of an element of a kind, and what follows.
fn of_kind(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == kind).then_some((content, rest))
}

/// The first element: tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0usize, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn certificate(attributes: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["x.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in attributes {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found() {
        let name = |attributes: &[(DnType, &str)]| common_name(&certificate(attributes));
        let (cn, org) = (DnType::CommonName, DnType::OrganizationName);
        assert_eq!(name(&[(cn.clone(), "ann")]).as_deref(), Some("ann"));
        assert_eq!(name(&[(org.clone(), "x"), (cn.clone(), "ann ü")]).as_deref(), Some("ann ü"));
        assert_eq!(name(&[(cn.clone(), &"n".repeat(200))]).map(|it| it.len()), Some(200));
        assert_eq!(name(&[(org, "x")]), None);
        assert_eq!(name(&[]), None);
        for bad in ["", "a:b", "a\nb", &"n".repeat(256)] {
            assert_eq!(name(&[(cn.clone(), bad)]), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn damaged_certificates_are_read_without_a_panic(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = certificate(&[(DnType::CommonName, "ann")]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            common_name(&bytes);
        }
    }
}
