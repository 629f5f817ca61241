//! Acts: lists that come in pages.

use super::transport::collect_body;
use super::wire::{Answer, Repository};
use naru_errdefs::{Fault, Kind};

/// One page is no longer.
const PAGE_LIMIT: usize = 16 << 20;

impl Repository {
    /// The bytes of a page, and the path and query of the next one.
    pub(super) async fn take_page(
        &self,
        answer: Answer,
    ) -> Result<(Vec<u8>, Option<String>), Fault> {
        let next = answer.header("link").and_then(next_page).map(str::to_owned);
        let (host, url) = (answer.host.clone(), answer.url.clone());
        let body = collect_body(answer.response, PAGE_LIMIT, self.patience().stall, &host).await?;
        let Some(next) = next else { return Ok((body, None)) };
        // Only the path and query count: pages are asked for where the first one was.
        let next = url.join(&next).map_err(|error| {
            Fault::new(Kind::Unavailable, format!("`{host}` gave no valid next page"))
                .with_source(error)
        })?;
        let target = match next.query() {
            Some(query) => format!("{}?{query}", next.path()),
            None => next.path().to_owned(),
        };
        Ok((body, Some(target)))
    }
}

/// The target of a `Link` with `rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|one| {
        let (target, parameters) = one.trim().strip_prefix('<')?.split_once('>')?;
        let is_next =
            parameters.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        assert_eq!(
            next_page("</v2/x/tags/list?last=a&n=1>; rel=\"next\""),
            Some("/v2/x/tags/list?last=a&n=1")
        );
        assert_eq!(next_page("<a>; rel=prev, <b>; rel=next"), Some("b"));
        assert_eq!(next_page("nonsense"), None);
    }
}
