//! What others know when figures are asked for: the store, the upkeep, the cache. Pure. Upstreams are named by the configuration, so
//! their number is bounded.

use super::{PREFIX, head};
use crate::cache::Figures;
use crate::upkeep::{Kept, Uploads};
use naru_store::Collections;
use std::fmt::{self, Write as _};

/// What was seen at one moment.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Uploads that are open.
    pub uploads: Uploads,
    /// What the collector did.
    pub collections: Collections,
    /// What upkeep did.
    pub kept: Kept,
    /// What was done for each upstream, and how many bytes the cache holds, once it has counted.
    pub cache: Option<(Vec<Figures>, Option<u64>)>,
}

/// Name, help, and what it reads.
type Row<T> = (&'static str, &'static str, fn(&T) -> u64);

const COUNTERS: [Row<Seen>; 10] = [
    ("gc_runs_total", "Collections that ended well.", |it| it.collections.runs),
    ("gc_failures_total", "Collections that failed.", |it| it.collections.failures),
    ("gc_freed_bytes_total", "Bytes that were collected.", |it| it.collections.bytes),
    ("gc_freed_blobs_total", "Blobs that were collected.", |it| it.collections.blobs),
    ("upkeep_runs_total", "Times that the registry was tidied.", |it| it.kept.runs),
    ("upkeep_failures_total", "Times that tidying failed.", |it| it.kept.failures),
    ("retention_tags_total", "Tags removed because no rule kept them.", |it| it.kept.tags),
    ("sweep_members_total", "Manifests and blobs removed because nothing led to them.", |it| {
        it.kept.members
    }),
    ("sweep_uploads_total", "Uploads that were given up.", |it| it.kept.uploads),
    ("sweep_upload_bytes_total", "Bytes of uploads that were given up.", |it| it.kept.upload_bytes),
];

const UPSTREAM: [Row<Figures>; 5] = [
    ("cache_upstream_requests_total", "Requests sent to upstreams.", |it| it.requests),
    ("cache_upstream_failures_total", "Requests to upstreams that failed.", |it| it.failures),
    ("cache_upstream_limited_total", "Requests refused for a rate limit.", |it| it.limited),
    ("cache_upstream_lies_total", "Answers that were not what they promised.", |it| it.lies),
    ("cache_upstream_bytes_total", "Bytes that came from upstreams.", |it| it.bytes),
];

impl Seen {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        for (name, help, value) in [
            ("uploads_open", "Uploads that are open now.", self.uploads.count),
            ("uploads_open_bytes", "Bytes that open uploads have brought.", self.uploads.bytes),
        ] {
            head(out, name, "gauge", help)?;
            writeln!(out, "{PREFIX}{name} {value}")?;
        }
        for (name, help, read) in COUNTERS {
            head(out, name, "counter", help)?;
            writeln!(out, "{PREFIX}{name} {}", read(self))?;
        }
        let Collections { runs, failures, took, .. } = self.collections;
        head(out, "gc_duration_seconds", "summary", "How long collections took.")?;
        writeln!(out, "{PREFIX}gc_duration_seconds_sum {}", took.as_secs_f64())?;
        writeln!(out, "{PREFIX}gc_duration_seconds_count {}", runs.saturating_add(failures))?;
        let Some((upstreams, kept)) = &self.cache else { return Ok(()) };
        self.write_cache(out, upstreams)?;
        if let Some(kept) = kept {
            head(out, "cache_bytes", "gauge", "Bytes that the cache holds.")?;
            writeln!(out, "{PREFIX}cache_bytes {kept}")?;
        }
        Ok(())
    }

    fn write_cache(&self, out: &mut String, upstreams: &[Figures]) -> fmt::Result {
        let named = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
        head(out, "cache_requests_total", "counter", "Requests to the pull-through cache.")?;
        for found in upstreams {
            let upstream = named(&found.upstream);
            for (result, count) in
                [("hit", found.hits), ("miss", found.misses), ("stale", found.stale)]
            {
                writeln!(
                    out,
                    "{PREFIX}cache_requests_total{{upstream=\"{upstream}\",result=\"{result}\"}} {count}"
                )?;
            }
        }
        for (name, help, read) in UPSTREAM {
            head(out, name, "counter", help)?;
            for found in upstreams {
                let upstream = named(&found.upstream);
                writeln!(out, "{PREFIX}{name}{{upstream=\"{upstream}\"}} {}", read(found))?;
            }
        }
        head(out, "cache_upstream_up", "gauge", "Whether an upstream answered lately.")?;
        for found in upstreams {
            let upstream = named(&found.upstream);
            let up = u8::from(!found.is_away);
            writeln!(out, "{PREFIX}cache_upstream_up{{upstream=\"{upstream}\"}} {up}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_seen_is_written() {
        let figures = Figures {
            upstream: "docker.io".to_owned(),
            hits: 8,
            stale: 1,
            bytes: 9,
            is_away: true,
            ..Figures::default()
        };
        let took = Duration::from_millis(2500);
        let seen = Seen {
            uploads: Uploads { count: 2, bytes: 300 },
            collections: Collections {
                runs: 3,
                failures: 1,
                bytes: 7000,
                took,
                ..Collections::default()
            },
            kept: Kept { tags: 4, members: 5, ..Kept::default() },
            cache: Some((vec![figures], Some(1234))),
        };
        let mut text = String::new();
        seen.write(&mut text).unwrap();
        for line in [
            "naru_registry_uploads_open 2",
            "naru_registry_uploads_open_bytes 300",
            "naru_registry_gc_runs_total 3",
            "naru_registry_gc_freed_bytes_total 7000",
            "naru_registry_gc_duration_seconds_sum 2.5",
            "naru_registry_gc_duration_seconds_count 4",
            "naru_registry_retention_tags_total 4",
            "naru_registry_sweep_members_total 5",
            "naru_registry_cache_requests_total{upstream=\"docker.io\",result=\"hit\"} 8",
            "naru_registry_cache_requests_total{upstream=\"docker.io\",result=\"stale\"} 1",
            "naru_registry_cache_upstream_bytes_total{upstream=\"docker.io\"} 9",
            "naru_registry_cache_upstream_up{upstream=\"docker.io\"} 0",
            "naru_registry_cache_bytes 1234",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        // Every figure says what it is.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split([' ', '{']).next().unwrap();
            let name = name.trim_end_matches("_sum").trim_end_matches("_count");
            assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
        }
    }
}
