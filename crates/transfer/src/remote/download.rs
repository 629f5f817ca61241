//! Acts: one file of the network, as `ADD` of a build wants it: no registry, nobody's credentials, within bounds.

use super::Registries;
use super::transport::transport_fault;
use naru_errdefs::{Fault, Kind, ResultExt};
use reqwest::Url;
use reqwest::header::{CONTENT_DISPOSITION, HeaderMap, LAST_MODIFIED, LOCATION};
use std::io::Write;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How often a request may be sent elsewhere.
const MOST_REDIRECTS: usize = 10;
/// The longest file.
const LONGEST: u64 = 64 << 30;

/// What is known of a file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its name, by its address or by what the server says; empty when neither has one.
    pub name: String,
    /// When it was changed, in seconds since 1970.
    pub modified: Option<i64>,
}

/// Writes a file of the network to a path, which must not exist.
pub async fn fetch_file(
    registries: &Registries,
    address: &str,
    path: &Path,
) -> Result<Download, Fault> {
    let fetched = fetch(registries, address, path).await;
    if fetched.is_err() {
        // What cannot be removed now is swept with the rest of its directory.
        drop(std::fs::remove_file(path));
    }
    fetched
}

async fn fetch(registries: &Registries, address: &str, path: &Path) -> Result<Download, Fault> {
    let shared = &registries.shared;
    let bad = |error| Fault::invalid(format!("`{address}` is no address")).with_source(error);
    let mut url = Url::parse(address).map_err(bad)?;
    let first = url.clone();
    for _ in 0..=MOST_REDIRECTS {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::invalid(format!(
                "`{address}` leads to an address that is not fetched"
            )));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let client = shared.clients.get(&shared.config, &host, false)?;
        let asking = client.get(url.clone()).send();
        let silent = |_| Fault::new(Kind::Unavailable, format!("`{host}` does not answer"));
        let mut response = tokio::time::timeout(shared.patience.headers, asking)
            .await
            .map_err(silent)?
            .map_err(|error| transport_fault("fetch a file", &host, error))?;
        if response.status().is_redirection() {
            let target = response.headers().get(LOCATION).and_then(|text| text.to_str().ok());
            let target = target.ok_or_else(|| {
                Fault::new(Kind::Unavailable, format!("`{host}` redirects to nowhere"))
            })?;
            url = url.join(target).map_err(bad)?;
            continue;
        }
        if !response.status().is_success() {
            let kind = match response.status().as_u16() {
                404 | 410 => Kind::NotFound,
                401 | 403 => Kind::Forbidden,
                _ => Kind::Unavailable,
            };
            return Err(Fault::new(
                kind,
                format!("cannot fetch `{address}`: the server answers {}", response.status()),
            ));
        }
        let download = Download {
            name: name_of(&first, response.headers()),
            modified: modified(response.headers()),
        };
        let failed = || format!("cannot write what comes from `{address}`");
        let mut file = naru_kernel::fs::create_new(path, 0o600).during(failed)?;
        let mut size = 0;
        loop {
            let piece = tokio::time::timeout(shared.patience.stall, response.chunk())
                .await
                .map_err(|_late| {
                    Fault::new(
                        Kind::Unavailable,
                        format!("`{host}` stopped in the middle of `{address}`"),
                    )
                })?
                .map_err(|error| transport_fault("fetch a file", &host, error))?;
            let Some(piece) = piece else { return Ok(download) };
            size += piece.len() as u64;
            if size > LONGEST {
                return Err(Fault::invalid(format!("`{address}` has more than {LONGEST} bytes")));
            }
            file.write_all(&piece).during(failed)?;
        }
    }
    Err(Fault::new(Kind::Unavailable, format!("`{address}` is redirected without end")))
}

/// The last name of the address, else what the server calls it.
fn name_of(url: &Url, headers: &HeaderMap) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    if !last.is_empty() {
        return last.to_owned();
    }
    let said = headers.get(CONTENT_DISPOSITION).and_then(|text| text.to_str().ok());
    let name = said.and_then(|text| text.split("filename=").nth(1)).unwrap_or_default();
    let name = name.split(';').next().unwrap_or_default().trim().trim_matches('"');
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

fn modified(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(LAST_MODIFIED)?.to_str().ok()?;
    OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}
