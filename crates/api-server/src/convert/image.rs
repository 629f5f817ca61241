//! Pure: images of the engine as clients see them.

use super::{signed, some};
use naru_api_types::container::{ContainerConfig, GraphDriver, Healthcheck};
use naru_api_types::image as api;
use naru_api_types::{ApiVersion, Empty, Map, Query, StrSlice};
use naru_engine::Timestamp;
use naru_engine::images as engine;
use naru_errdefs::Fault;
use naru_oci::ContainerDefaults;
use std::path::Path;

/// Before this version an image without a name had one of these in its place.
const NO_PLACEHOLDERS: ApiVersion = ApiVersion::v1(43);
/// Before this version the size was sent twice.
const NO_VIRTUAL_SIZE: ApiVersion = ApiVersion::v1(44);
/// Before this version the container that made the image was named.
const NO_CONTAINER: ApiVersion = ApiVersion::v1(45);

/// One image of a list.
pub(crate) fn summary(
    summary: engine::ImageSummary,
    counts: Counts,
    version: ApiVersion,
) -> api::ImageSummary {
    let (mut repo_tags, mut repo_digests) = (summary.repo_tags, summary.repo_digests);
    if version < NO_PLACEHOLDERS && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    let size = signed(summary.size);
    api::ImageSummary {
        id: summary.id.to_string(),
        parent_id: summary.parent.map(|id| id.to_string()).unwrap_or_default(),
        repo_tags,
        repo_digests,
        created: summary.created.map_or(0, Timestamp::seconds),
        size,
        shared_size: if counts.shared { signed(summary.shared_size) } else { -1 },
        virtual_size: (version < NO_VIRTUAL_SIZE).then_some(size),
        labels: if summary.labels.is_empty() { None } else { Some(summary.labels) },
        containers: if counts.containers {
            i64::try_from(summary.containers).unwrap_or(i64::MAX)
        } else {
            -1
        },
    }
}

/// What a list counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Bytes shared with other images.
    pub(crate) shared: bool,
    /// Containers.
    pub(crate) containers: bool,
}

/// Everything about an image.
pub(crate) fn inspect(view: engine::ImageView, version: ApiVersion) -> api::ImageInspect {
    let other = |name: &str| {
        view.config
            .other
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let comment = view.config.history.last().and_then(|step| step.comment.clone());
    let size = signed(view.size);
    api::ImageInspect {
        id: view.id.to_string(),
        repo_tags: view.repo_tags,
        repo_digests: view.repo_digests,
        parent: view.parent.map(|id| id.to_string()).unwrap_or_default(),
        comment: comment.unwrap_or_default(),
        created: view
            .config
            .created
            .clone()
            .or_else(|| (version < NO_VIRTUAL_SIZE).then(|| Timestamp::NEVER.to_owned())),
        container: (version < NO_CONTAINER).then(String::new),
        container_config: (version < NO_CONTAINER).then(ContainerConfig::default),
        docker_version: other("docker_version"),
        author: view.config.author.clone().unwrap_or_default(),
        architecture: view.config.architecture.clone(),
        variant: view.config.variant.clone().unwrap_or_default(),
        os: view.config.os.clone(),
        os_version: other("os.version"),
        size,
        virtual_size: (version < NO_VIRTUAL_SIZE).then_some(size),
        graph_driver: graph(&view.lower_dirs),
        root_fs: api::RootFs {
            r#type: "layers".to_owned(),
            layers: some(view.layers.iter().map(ToString::to_string).collect()),
        },
        metadata: api::ImageMetadata { last_tag_time: Timestamp::show(view.last_tagged) },
        descriptor: (version >= ApiVersion::v1(48)).then(|| descriptor(&view.target)),
        config: Some(config(view.config.config)),
    }
}

/// What a name points to.
pub(crate) fn descriptor(target: &naru_oci::Descriptor) -> api::Descriptor {
    api::Descriptor {
        media_type: target.media_type.clone(),
        digest: target.digest.to_string(),
        size: signed(target.size),
    }
}

/// An image has no writable directory: its topmost layer stands there, those below are the lower ones.
fn graph(dirs: &[impl AsRef<Path>]) -> GraphDriver {
    let shown = |dir: &Path| dir.to_string_lossy().into_owned();
    let mut data = Map::new();
    if let Some((top, below)) = dirs.split_first() {
        data.insert("UpperDir".to_owned(), shown(top.as_ref()));
        if !below.is_empty() {
            let below: Vec<String> = below.iter().map(|dir| shown(dir.as_ref())).collect();
            data.insert("LowerDir".to_owned(), below.join(":"));
        }
    }
    GraphDriver { name: "overlay2".to_owned(), data: Some(data) }
}

fn config(config: ContainerDefaults) -> ContainerConfig {
    let set = |keys: Map<serde_json::Value>| {
        if keys.is_empty() {
            None
        } else {
            Some(keys.into_keys().map(|key| (key, Empty)).collect())
        }
    };
    ContainerConfig {
        user: config.user,
        exposed_ports: set(config.exposed_ports),
        env: some(config.env),
        cmd: StrSlice(config.cmd),
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: some(check.test),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        volumes: set(config.volumes),
        working_dir: config.working_dir,
        entrypoint: StrSlice(config.entrypoint),
        on_build: some(config.on_build),
        labels: if config.labels.is_empty() { None } else { Some(config.labels) },
        stop_signal: config.stop_signal,
        shell: some(config.shell),
        ..ContainerConfig::default()
    }
}

/// One step in the making of an image.
pub(crate) fn history(entry: engine::HistoryEntry) -> api::ImageHistoryItem {
    api::ImageHistoryItem {
        id: entry.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        created: entry.created.map_or(0, Timestamp::seconds),
        created_by: entry.created_by,
        tags: some(entry.tags),
        size: signed(entry.size),
        comment: entry.comment,
    }
}

/// One thing that went with an image.
pub(crate) fn deleted(deleted: engine::Deleted) -> api::ImageDeleteItem {
    match deleted {
        engine::Deleted::Untagged(name) => {
            api::ImageDeleteItem { untagged: Some(name), deleted: None }
        }
        engine::Deleted::Deleted(id) => api::ImageDeleteItem { untagged: None, deleted: Some(id) },
    }
}

fn all(filters: &naru_api_types::Filters, key: &str) -> Vec<String> {
    filters.get(key).map(str::to_owned).collect()
}

/// Which images are listed.
pub(crate) fn filter(query: &Query, now: Timestamp) -> Result<engine::ImageFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&["before", "dangling", "label", "reference", "since", "until"])?;
    let until = match filters.get("until").next() {
        Some(text) => super::filter::until(text, now)?,
        None => None,
    };
    let mut reference = all(&filters, "reference");
    // Clients before 1.25 had a parameter of its own for this.
    reference.extend(query.text("filter").map(str::to_owned));
    Ok(engine::ImageFilter {
        reference,
        dangling: filters.flag("dangling")?,
        label: all(&filters, "label"),
        before: all(&filters, "before"),
        since: all(&filters, "since"),
        until,
    })
}

/// Which images are pruned.
pub(crate) fn prune(query: &Query, now: Timestamp) -> Result<engine::ImagePruneFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&["dangling", "until", "label", "label!"])?;
    let until = match filters.get("until").next() {
        Some(text) => super::filter::until(text, now)?,
        None => None,
    };
    Ok(engine::ImagePruneFilter {
        dangling: filters.flag("dangling")?.unwrap_or(true),
        until,
        label: all(&filters, "label"),
        label_not: all(&filters, "label!"),
    })
}
