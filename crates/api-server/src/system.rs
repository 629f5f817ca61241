//! Acts: the calls about the daemon and its host.

use crate::convert::image::{self, Counts};
use crate::convert::{build, container, signed, system as convert, volume};
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use naru_api_types::ApiVersion;
use naru_api_types::system::{DiskUsageResponse, VerifyFinding};
use naru_engine::{Builds, Containers, Images, ListFilter, System, Timestamp, Volumes};
use naru_errdefs::{Fault, one_line};
use std::convert::Infallible;

pub(crate) fn version(system: &System) -> Reply {
    reply::ok(&convert::version(system.version()))
}

pub(crate) async fn info(system: &System, call: Call) -> Result<Reply, Refusal> {
    let view = system.info().await?;
    Ok(reply::ok(&convert::info(view, Timestamp::now().to_string(), call.version)))
}

pub(crate) async fn disk_usage(
    images: &Images,
    containers: &Containers,
    volumes: &Volumes,
    builds: &Builds,
    call: Call,
) -> Result<Reply, Refusal> {
    let types: Vec<&str> = call.query.all("type").collect();
    for kind in &types {
        if !matches!(*kind, "container" | "image" | "volume" | "build-cache") {
            return Err(Fault::invalid(format!("unknown object type: {kind}")).into());
        }
    }
    let wanted = |kind: &str| types.is_empty() || types.contains(&kind);
    let mut answer = DiskUsageResponse {
        builder_size: (call.version < ApiVersion::v1(42)).then_some(0),
        ..DiskUsageResponse::default()
    };
    if wanted("image") {
        let usage = images.disk_usage().await?;
        answer.layers_size = signed(usage.layers_size);
        let counts = Counts { shared: true, containers: true };
        let summary = |one| image::summary(one, counts, call.version);
        answer.images = Some(usage.images.into_iter().map(summary).collect());
    }
    if wanted("container") {
        let filter = ListFilter { all: true, size: true, ..ListFilter::default() };
        let found = containers.list(&filter).await?;
        answer.containers = Some(found.into_iter().map(container::summary).collect());
    }
    if wanted("volume") {
        let found = volumes.disk_usage().await?;
        answer.volumes = Some(found.into_iter().map(volume::volume).collect());
    }
    if wanted("build-cache") {
        let records = builds.usage().await?;
        if call.version < ApiVersion::v1(42) {
            // What an image holds too is counted there.
            let own = records.iter().filter(|record| !record.shared).map(|record| record.size);
            answer.builder_size = Some(signed(own.fold(0, u64::saturating_add)));
        }
        answer.build_cache = Some(records.into_iter().map(build::record).collect());
    }
    Ok(reply::ok(&answer))
}

/// Checks the store. The head goes out at once, since this may take minutes; a failure is a line of its own.
pub(crate) fn verify(images: &Images, call: &Call) -> Reply {
    let (images, repair) = (images.clone(), call.query.flag("repair"));
    let lines = futures_util::stream::once(async move {
        let findings = match images.verify(repair).await {
            Ok(findings) => findings
                .into_iter()
                .map(|finding| VerifyFinding {
                    problem: finding.message,
                    subject: "store".to_owned(),
                    repaired: finding.repair.is_some(),
                    repair: finding.repair,
                    ..VerifyFinding::default()
                })
                .collect(),
            Err(fault) => {
                vec![VerifyFinding { error: Some(one_line(&fault)), ..VerifyFinding::default() }]
            }
        };
        futures_util::stream::iter(findings.into_iter().map(|finding: VerifyFinding| {
            let mut bytes = serde_json::to_vec(&finding).unwrap_or_default();
            bytes.push(b'\n');
            Ok::<Bytes, Infallible>(bytes.into())
        }))
    });
    reply::with_type(StatusCode::OK, "application/json", Body::from_stream(lines.flatten()))
}
