//! Pure: volumes of the engine as clients see them, and what clients ask for in the engine's words.

use super::signed;
use naru_api_types::volume as api;
use naru_api_types::{ApiVersion, Filters, Query};
use naru_engine as engine;
use naru_errdefs::Fault;

/// A volume that a client wants.
pub(crate) fn request(body: api::VolumeCreateRequest) -> Result<engine::VolumeRequest, Fault> {
    if body.cluster_volume_spec.is_some() {
        return Err(Fault::unsupported(
            "`ClusterVolumeSpec` is not supported: Naru has no cluster mode",
        ));
    }
    Ok(engine::VolumeRequest {
        name: body.name,
        driver: body.driver,
        options: body.driver_opts,
        labels: body.labels,
    })
}

/// A volume.
pub(crate) fn volume(view: engine::VolumeView) -> api::Volume {
    let created = view.created.to_string();
    api::Volume {
        // Whole seconds, as everywhere in Docker.
        created_at: Some(format!("{}Z", created.get(..19).unwrap_or_default())),
        driver: "local".to_owned(),
        labels: view.labels,
        mountpoint: view.mountpoint.to_string_lossy().into_owned(),
        name: view.name,
        options: view.options,
        scope: "local".to_owned(),
        usage_data: view.usage.map(|usage| api::VolumeUsage {
            ref_count: signed(usage.containers),
            size: usage.size.map_or(-1, signed),
        }),
    }
}

fn all(filters: &Filters, key: &str) -> Vec<String> {
    filters.get(key).map(str::to_owned).collect()
}

/// Which volumes are listed.
pub(crate) fn list(query: &Query) -> Result<engine::VolumeFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&["dangling", "driver", "label", "name"])?;
    Ok(engine::VolumeFilter {
        name: all(&filters, "name"),
        driver: all(&filters, "driver"),
        label: all(&filters, "label"),
        dangling: filters.flag("dangling")?,
    })
}

/// Since this version a prune leaves named volumes alone, unless it is told otherwise.
const NAMED_STAY: ApiVersion = ApiVersion::v1(42);

/// Which volumes are pruned.
pub(crate) fn prune(
    query: &Query,
    version: ApiVersion,
) -> Result<engine::VolumePruneFilter, Fault> {
    let filters = query.filters()?;
    filters.only(&["all", "label", "label!"])?;
    Ok(engine::VolumePruneFilter {
        all: filters.flag("all")?.unwrap_or(version < NAMED_STAY),
        label: all(&filters, "label"),
        label_not: all(&filters, "label!"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_volumes_are_pruned_when_asked_for_or_by_old_clients() {
        let with = |filters: &str, minor| {
            prune(&Query::new().with("filters", filters), ApiVersion::v1(minor))
        };
        assert!(with("", 41).unwrap().all);
        assert!(!with("", 42).unwrap().all);
        assert!(with(r#"{"all":["true"]}"#, 51).unwrap().all);
        assert!(with(r#"{"until":["1h"]}"#, 51).is_err());
    }

    #[test]
    fn a_volume_has_dockers_shape() {
        let view = engine::VolumeView {
            name: "vol".into(),
            created: engine::Timestamp::from_seconds(1_700_000_000),
            mountpoint: "/d/volumes/vol/_data".into(),
            options: None,
            labels: Some([("a".to_owned(), "b".to_owned())].into()),
            usage: None,
        };
        assert_eq!(
            serde_json::to_string(&volume(view)).unwrap(),
            r#"{"CreatedAt":"2023-11-14T22:13:20Z","Driver":"local","Labels":{"a":"b"},"Mountpoint":"/d/volumes/vol/_data","Name":"vol","Options":null,"Scope":"local"}"#
        );
    }
}
