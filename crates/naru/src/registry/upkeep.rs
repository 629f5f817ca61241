//! When the registry tidies itself: once a day, beside everything else. Acts.

use naru_errdefs::{Fault, one_line};
use naru_registry::config::RegistryConfig;
use naru_registry::upkeep::Upkeep;
use naru_registry::upkeep::rules::RetentionRule;
use naru_registry::upkeep::sweep::Sweep;
use naru_store::Store;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 24 * 3600;

/// Whether the rules make sense and can be kept.
pub fn check(config: &RegistryConfig) -> Result<(), Fault> {
    for rule in &config.retention {
        rule.validate()?;
        if rule.keep_pulled_within.is_some() {
            return Err(Fault::unsupported(
                "`keep-pulled-within` in `retention` is not supported yet: nobody notes pulls",
            )
            .with_hint("use keep-newest, keep-tags or keep-younger-than"));
        }
    }
    config.quotas.iter().try_for_each(|rule| rule.validate())
}

/// Once a day: retention, members that nothing names, uploads that were given up, and the collector.
pub async fn daily(retention: Vec<RetentionRule>, store: Store, until: impl Future<Output = ()>) {
    // A client that was told by HEAD that a blob is there may take its time before it sends the manifest.
    let sweep = Sweep { blobs_after: DAY, untagged_after: None };
    let upkeep = Upkeep { retention, sweep, uploads_after: Duration::from_secs(DAY) };
    let mut until = pin!(until);
    loop {
        tokio::select! {
            () = until.as_mut() => return,
            () = tokio::time::sleep(Duration::from_secs(DAY)) => {}
        }
        let (upkeep, store) = (upkeep.clone(), store.clone());
        let run = move || {
            let now =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            upkeep.run(&store, now, &|_, _| None)
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(Ok(report)) => tracing::info!(
                repositories = report.repositories.len(),
                uploads = report.uploads.0,
                blobs = report.collected.blobs.len(),
                bytes = report.collected.bytes(),
                "upkeep of the registry"
            ),
            Ok(Err(error)) => {
                tracing::warn!(error = %one_line(&Fault::from(error)), "upkeep of the registry failed");
            }
            Err(error) => tracing::warn!(%error, "upkeep of the registry ended early"),
        }
    }
}
