//! Acts: what can go wrong below HTTP, and bodies within bounds.

use naru_errdefs::{Fault, Kind};
use reqwest::Response;
use std::time::Duration;

/// A failure below HTTP.
pub(super) fn transport_fault(attempt: &str, host: &str, error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let text = chain(&error);
    let fault = Fault::new(Kind::Unavailable, text.clone())
        .context(format!("cannot {attempt} at `{host}`"));
    if text.contains("InvalidContentType") || text.contains("corrupt message") {
        return fault.with_hint(format!(
            "`{host}` seems to speak plain HTTP; if that is fine, add it to `insecure-registries`"
        ));
    }
    if text.contains("invalid peer certificate") {
        return fault.with_hint(format!(
            "put the certificate of its authority into `certs.d/{host}/ca.crt`, or add it to `insecure-registries`"
        ));
    }
    fault.with_hint(format!(
        "see that `{host}` can be reached from here; without a way there, bring the image with `naru load`"
    ))
}

/// An error and its causes in one line, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.join(": ")
}

/// A body of at most `limit` bytes; longer ones are refused.
pub(super) async fn collect_body(
    mut response: Response,
    limit: usize,
    stall: Duration,
    host: &str,
) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let chunk = tokio::time::timeout(stall, response.chunk()).await.map_err(|error| {
            Fault::new(Kind::Unavailable, format!("`{host}` stopped in the middle of an answer"))
                .with_source(error)
        })?;
        match chunk.map_err(|error| transport_fault("read the answer", host, error))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > limit => {
                return Err(Fault::invalid(format!(
                    "the answer of `{host}` is longer than {limit} bytes"
                )));
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}
