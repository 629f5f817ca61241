//! Acts: one file of the network, as `ADD` of a build wants it, within bounds, and only if it is another one than last time.

use super::Registries;
use super::web::{WebRequest, ask_web, shown_address};
use naru_errdefs::{Fault, ResultExt};
use reqwest::Url;
use std::io::Write;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The longest file.
const LONGEST: u64 = 64 << 30;
/// The longest validator that is kept.
const LONGEST_VALIDATOR: usize = 1024;
/// The longest name of a file.
const LONGEST_NAME: usize = 255;

/// What a server said of a file, to ask whether it is still the same (RFC 9110 section 13.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Download {
    /// It is what it was when the validators were told; nothing was written.
    Unchanged,
    /// It was written.
    File {
        /// Its name, by its address or by what the server says; empty when neither has one.
        name: String,
        /// When it was changed, in seconds since 1970.
        modified: Option<i64>,
        /// To be asked with the next time.
        validators: Validators,
    },
}

/// Writes a file of the network to a path, which must not exist, unless the validators still hold.
pub async fn fetch_file(
    registries: &Registries,
    address: &str,
    path: &Path,
    (known, authorization): (&Validators, Option<String>),
) -> Result<Download, Fault> {
    let fetched = fetch(registries, address, path, (known, authorization)).await;
    if fetched.is_err() {
        // What cannot be removed now is swept with the rest of its directory.
        drop(std::fs::remove_file(path));
    }
    fetched
}

async fn fetch(
    registries: &Registries,
    address: &str,
    path: &Path,
    (known, authorization): (&Validators, Option<String>),
) -> Result<Download, Fault> {
    let mut headers = Vec::new();
    // With both, the tag decides.
    if let Some(etag) = &known.etag {
        headers.push(("If-None-Match", etag.clone()));
    } else if let Some(date) = &known.last_modified {
        headers.push(("If-Modified-Since", date.clone()));
    }
    let is_asked = !headers.is_empty();
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let mut answer =
        ask_web(registries, &WebRequest { address, headers, basic: None, body: None }).await?;
    if is_asked && answer.status() == 304 {
        return Ok(Download::Unchanged);
    }
    answer.refuse()?;
    let text = |name: &str| {
        let value = answer.header(name).filter(|value| value.len() <= LONGEST_VALIDATOR);
        value.map(str::to_owned)
    };
    let validators = Validators { etag: text("etag"), last_modified: text("last-modified") };
    let download = Download::File {
        name: name_of(address, answer.header("content-disposition")),
        modified: validators.last_modified.as_deref().and_then(seconds),
        validators,
    };
    let failed = || format!("cannot write what comes from `{}`", shown_address(address));
    let too_long =
        || Fault::invalid(format!("`{}` has more than {LONGEST} bytes", shown_address(address)));
    let announced = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|size| size > LONGEST) {
        return Err(too_long());
    }
    let mut file = naru_kernel::fs::create_new(path, 0o600).during(failed)?;
    let mut size = 0;
    while let Some(piece) = answer.piece().await? {
        size += piece.len() as u64;
        if size > LONGEST {
            return Err(too_long());
        }
        file.write_all(&piece).during(failed)?;
    }
    Ok(download)
}

/// Pure: the last name of the address; when it ends with a slash, what the server calls it, or the name before the slash.
/// Empty when nothing of it is a name for a file.
fn name_of(address: &str, disposition: Option<&str>) -> String {
    let fits = |name: &str| {
        !matches!(name, "" | "." | "..")
            && !name.contains(['/', '\0'])
            && name.len() <= LONGEST_NAME
    };
    let url = Url::parse(address).ok();
    let names = url.as_ref().and_then(Url::path_segments);
    let names: Vec<String> = names.into_iter().flatten().map(decoded).collect();
    if let Some(last) = names.last().filter(|last| fits(last)) {
        return last.clone();
    }
    let parts = disposition.unwrap_or_default().split(';').filter_map(|part| part.split_once('='));
    let mut said = parts.filter(|(key, _)| key.trim().eq_ignore_ascii_case("filename"));
    let name = said.next().unwrap_or_default().1.trim().trim_matches('"');
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    if fits(name) {
        return name.to_owned();
    }
    names
        .into_iter()
        .rev()
        .find(|name| !name.is_empty())
        .filter(|name| fits(name))
        .unwrap_or_default()
}

/// Pure: a part of an address without `%20` and its like; as it is when that leaves no text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_bad| text.to_owned())
}

/// Pure: seconds since 1970 of a date of HTTP.
fn seconds(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests;
