//! Acts: lists containers.

use super::{Containers, inspect};
use crate::lifecycle::State;
use crate::merge;
use crate::model::{
    ContainerSummary, EndpointView, HealthStatus, ListFilter, PublishedPort, Status, Timestamp,
};
use crate::record::Record;
use naru_errdefs::Fault;
use naru_oci::ImageId;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

impl Containers {
    /// Those that the filter lets through, newest first.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<ContainerSummary>, Fault> {
        let inner = &self.inner;
        let ancestors: Vec<Option<ImageId>> =
            filter.ancestor.iter().map(|text| inner.storage.image_id(text)).collect();
        let created = |list: &[String]| -> Result<Vec<Timestamp>, Fault> {
            list.iter().map(|name| Ok(inner.find(name)?.seat().record.created)).collect()
        };
        let before = created(&filter.before)?;
        let since = created(&filter.since)?;
        let all = filter.all
            || filter.limit.is_some()
            || !filter.status.is_empty()
            || !filter.exited.is_empty();

        let containers = inner.table().all();
        let mut records: Vec<(Record, Option<HealthStatus>)> = containers
            .iter()
            .map(|container| {
                let seat = container.seat();
                (seat.record.clone(), seat.health.as_ref().map(|health| health.view.status))
            })
            .filter(|(record, _)| all || record.state.is_up())
            .filter(|(record, _)| !is_vanishing(record))
            .filter(|(record, health)| matches(filter, record, *health))
            .filter(|(record, _)| {
                ancestors.is_empty()
                    || ancestors.iter().flatten().any(|image| *image == record.image)
                    || filter.ancestor.contains(&record.config.image)
            })
            .filter(|(record, _)| before.iter().all(|at| record.created < *at))
            .filter(|(record, _)| since.iter().all(|at| record.created > *at))
            .collect();
        records.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        if let Some(limit) = filter.limit {
            records.truncate(limit);
        }

        let mut names: HashMap<String, Option<ImageId>> = HashMap::new();
        let mut rows = Vec::with_capacity(records.len());
        for (record, health) in records {
            let sizes = if filter.size {
                let record = record.clone();
                Some(inner.blocking(move |inner| inner.storage.usage(&record)).await?)
            } else {
                None
            };
            let image = record.config.image.clone();
            let now_means =
                *names.entry(image.clone()).or_insert_with(|| inner.storage.image_id(&image));
            let places = inner.networks.of_container(&record);
            rows.push(summary((record, health), now_means, sizes, places));
        }
        Ok(rows)
    }

    /// How many there are, and how many run and are paused.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let containers = self.inner.table().all();
        let (mut running, mut paused) = (0, 0);
        for container in &containers {
            match container.seat().record.state.status() {
                Status::Running | Status::Restarting => running += 1,
                Status::Paused => paused += 1,
                Status::Created | Status::Removing | Status::Exited | Status::Dead => {}
            }
        }
        (containers.len(), running, paused)
    }
}

fn is_vanishing(record: &Record) -> bool {
    matches!(record.state, State::Removing { .. }) && record.is_ephemeral()
}

/// A command in one line: arguments with a space are quoted, the program is not.
fn line(words: &[String]) -> String {
    let shown = words.iter().enumerate().map(|(place, word)| {
        if place > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn summary(
    (record, health): (Record, Option<HealthStatus>),
    now_means: Option<ImageId>,
    sizes: Option<(u64, u64)>,
    (networks, published): (BTreeMap<String, EndpointView>, Vec<PublishedPort>),
) -> ContainerSummary {
    let same = now_means == Some(record.image);
    ContainerSummary {
        image: if same { record.config.image.clone() } else { record.image.to_string() },
        image_id: record.image,
        command: line(&merge::command(&record.config)),
        created: record.created,
        state: inspect::status_of(&record),
        status: describe(&record, health, Timestamp::now()),
        labels: record.config.labels.clone(),
        network_mode: record.host.network_mode.clone(),
        mounts: inspect::shown_mounts(&record),
        networks,
        published,
        size_rw: sizes.map(|(rw, _)| rw),
        size_root_fs: sizes.map(|(_, all)| all),
        exposed_ports: record.config.exposed_ports.iter().cloned().collect(),
        id: record.id,
        name: record.name,
    }
}

fn matches(filter: &ListFilter, record: &Record, health: Option<HealthStatus>) -> bool {
    fn any<T>(wanted: &[T], matches: impl Fn(&T) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().any(matches)
    }
    let status = record.state.status();
    let exited = matches!(status, Status::Exited | Status::Dead);
    any(&filter.id, |id| !id.is_empty() && record.id.starts_with(id.as_str()))
        && any(&filter.name, |name| name_matches(name, &record.name))
        && filter.label.iter().all(|label| label_matches(label, &record.config.labels))
        && any(&filter.status, |wanted| *wanted == status)
        && any(&filter.exited, |code| {
            exited && record.state.last_exit().is_some_and(|exit| exit.code == *code)
        })
        && any(&filter.volume, |volume| {
            record.mounts.iter().any(|point| {
                point.name.as_ref() == Some(volume)
                    || point.destination == *volume
                    || (point.source == *volume && !volume.is_empty())
            })
        })
        && any(&filter.network, |network| {
            record.host.network_mode == *network || record.networks.contains_key(network)
        })
        && any(&filter.health, |wanted| wanted == health.map_or("none", HealthStatus::as_str))
}

/// Whether a label filter (`key` or `key=value`) matches.
pub(crate) fn label_matches(filter: &str, labels: &BTreeMap<String, String>) -> bool {
    match filter.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
        None => labels.contains_key(filter),
    }
}

/// Docker matches regular expressions; people use anchors and parts of names, and so do we.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (start, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest.strip_prefix('/').unwrap_or(rest)),
        None => (false, pattern),
    };
    let (end, part) = match rest.strip_suffix('$') {
        Some(part) => (true, part),
        None => (false, rest),
    };
    let part = part.strip_prefix('/').unwrap_or(part);
    match (start, end) {
        (true, true) => name == part,
        (true, false) => name.starts_with(part),
        (false, true) => name.ends_with(part),
        (false, false) => name.contains(part),
    }
}

/// The state for people.
fn describe(record: &Record, health: Option<HealthStatus>, now: Timestamp) -> String {
    let since = |at: Option<Timestamp>| at.map_or(Duration::ZERO, |at| now.since(at));
    let code = record.state.last_exit().map_or(0, |exit| exit.code);
    match &record.state {
        State::Running { .. } => {
            let health = match health {
                None => String::new(),
                Some(HealthStatus::Starting) => " (health: starting)".to_owned(),
                Some(health) => format!(" ({})", health.as_str()),
            };
            format!("Up {}{health}", human(since(record.started_at)))
        }
        State::Paused { .. } => format!("Up {} (Paused)", human(since(record.started_at))),
        State::Restarting { .. } | State::Starting { again: true, .. } => {
            format!("Restarting ({code}) {} ago", human(since(record.finished_at)))
        }
        State::Removing { .. } => "Removal In Progress".to_owned(),
        State::Dead { .. } => "Dead".to_owned(),
        State::Created { .. } | State::Starting { last: None, .. } => "Created".to_owned(),
        State::Exited { .. } | State::Starting { last: Some(_), .. } => {
            format!("Exited ({code}) {} ago", human(since(record.finished_at)))
        }
    }
}

/// A duration as Docker says it.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_docker_says_them() {
        for (seconds, want) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (48 * 3600, "2 days"),
            (14 * 24 * 3600, "2 weeks"),
            (60 * 24 * 3600, "2 months"),
            (800 * 24 * 3600, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn names_match_by_part_and_by_anchor() {
        for (pattern, name, want) in [
            ("eb", "web", true),
            ("^web$", "web", true),
            ("^/web$", "web", true),
            ("^eb", "web", false),
            ("b$", "web", true),
            ("/web", "web", true),
            ("x", "web", false),
        ] {
            assert_eq!(name_matches(pattern, name), want, "{pattern}");
        }
    }
}
