//! Pure: filters of clients in the engine's words.

use super::instant;
use naru_api_types::{Filters, Query};
use naru_engine::{EventFilter, ListFilter, PruneFilter, Status, Timestamp};
use naru_errdefs::Fault;
use std::time::Duration;

fn all(filters: &Filters, key: &str) -> Vec<String> {
    filters.get(key).map(str::to_owned).collect()
}

/// Which containers are listed.
pub(crate) fn list(query: &Query) -> Result<ListFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&[
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    ])?;
    for key in ["expose", "publish", "isolation"] {
        if filters.has(key) {
            return Err(Fault::unsupported(format!("filter `{key}` is not supported"))
                .with_hint("list all and select from the answer"));
        }
    }
    let mut status = Vec::new();
    for text in filters.get("status") {
        status.push(
            Status::parse(text)
                .ok_or_else(|| Fault::invalid(format!("invalid filter 'status={text}'")))?,
        );
    }
    let mut exited = Vec::new();
    for text in filters.get("exited") {
        exited.push(
            text.parse()
                .map_err(|_no_number| Fault::invalid(format!("invalid filter 'exited={text}'")))?,
        );
    }
    for text in filters.get("health") {
        if !matches!(text, "starting" | "healthy" | "unhealthy" | "none") {
            return Err(Fault::invalid(format!("invalid filter 'health={text}'")));
        }
    }
    let limit = query.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    Ok(ListFilter {
        all: query.flag("all"),
        limit: limit.filter(|limit| *limit > 0),
        size: query.flag("size"),
        id: all(&filters, "id"),
        name: all(&filters, "name"),
        label: all(&filters, "label"),
        status,
        exited,
        ancestor: all(&filters, "ancestor"),
        before: all(&filters, "before"),
        since: all(&filters, "since"),
        volume: all(&filters, "volume"),
        network: all(&filters, "network"),
        health: all(&filters, "health"),
    })
}

/// Which containers are pruned.
pub(crate) fn prune(query: &Query, now: Timestamp) -> Result<PruneFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&["until", "label", "label!"])?;
    let mut texts = filters.get("until");
    let until = match (texts.next(), texts.next()) {
        (None, _) => None,
        (Some(text), None) => until(text, now)?,
        (Some(_), Some(_)) => return Err(Fault::invalid("more than one until filter specified")),
    };
    Ok(PruneFilter { until, label: all(&filters, "label"), label_not: all(&filters, "label!") })
}

/// An instant, or a duration back from now.
pub(crate) fn until(text: &str, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    match go_duration(text) {
        Some(back) => {
            let back = i64::try_from(back.as_nanos()).unwrap_or(i64::MAX);
            Ok(Some(Timestamp(now.0.saturating_sub(back))))
        }
        None => instant("until", Some(text)),
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

/// Which events are told.
pub(crate) fn events(query: &Query) -> Result<EventFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&[
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    ])?;
    for key in ["config", "daemon", "network", "node", "plugin", "scope", "secret", "service"] {
        if filters.has(key) {
            return Err(Fault::unsupported(format!("filter `{key}` is not supported"))
                .with_hint("there are events of containers, images and volumes; filter by `type`, `container`, `image`, `volume`, `event` or `label`"));
        }
    }
    Ok(EventFilter {
        since: instant("since", query.get("since"))?,
        until: instant("until", query.get("until"))?,
        kind: all(&filters, "type"),
        action: all(&filters, "event"),
        container: all(&filters, "container"),
        image: all(&filters, "image"),
        volume: all(&filters, "volume"),
        label: all(&filters, "label"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_the_engine_s() {
        let query = Query::parse(
            "all=1&limit=3&filters=%7B%22status%22%3A%5B%22exited%22%5D%2C%22label%22%3A%7B%22a%3Db%22%3Atrue%7D%7D",
        );
        let filter = list(&query).unwrap();
        assert!(filter.all);
        assert_eq!(filter.limit, Some(3));
        assert_eq!(filter.status, [Status::Exited]);
        assert_eq!(filter.label, ["a=b"]);
    }

    #[test]
    fn bad_filters_are_refused() {
        for filters in [
            r#"{"status":["fine"]}"#,
            r#"{"x":["y"]}"#,
            r#"{"exited":["a"]}"#,
            r#"{"publish":["80"]}"#,
        ] {
            assert!(list(&Query::new().with("filters", filters)).is_err(), "{filters}");
        }
        assert!(list(&Query::parse("limit=few")).is_err());
    }

    #[test]
    fn until_is_an_instant_or_a_duration() {
        let now = Timestamp::from_seconds(10_000);
        assert_eq!(until("1h30m", now).unwrap(), Some(Timestamp::from_seconds(4_600)));
        assert_eq!(until("77", now).unwrap(), Some(Timestamp::from_seconds(77)));
        assert!(until("soon", now).is_err());
    }
}
