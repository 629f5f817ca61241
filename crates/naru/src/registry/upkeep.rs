//! When the registry tidies itself: once a day, beside everything else. Acts.

use naru_errdefs::{Fault, one_line};
use naru_registry::config::RegistryConfig;
use naru_registry::upkeep::{How, Keeper};
use naru_store::{Store, Table};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// The key of the one row.
const LAST: &str = "last";

/// Whether the rules make sense and can be kept.
pub fn check(config: &RegistryConfig) -> Result<(), Fault> {
    config.retention.iter().try_for_each(|rule| rule.validate())?;
    config.quotas.iter().try_for_each(|rule| rule.validate())
}

/// Once a day: retention, members that nothing names, uploads that were given up, cached content that is too old, and the collector.
/// The day is counted across restarts, since some hosts are off every night; the first hour after a start is left to clients who
/// were told something before it. Once an hour, and at the end, what was noted of pulls is written.
pub async fn daily(keeper: Arc<Keeper>, store: Store, until: impl Future<Output = ()>) {
    let table = store.records.table::<u64>("registry-upkeep");
    let mut until = pin!(until);
    loop {
        tokio::select! {
            () = until.as_mut() => {
                blocking(&keeper, |keeper| keeper.write()).await;
                return;
            }
            () = tokio::time::sleep(Duration::from_secs(HOUR)) => {}
        }
        blocking(&keeper, |keeper| keeper.write()).await;
        if !is_due(&table) {
            continue;
        }
        match Arc::clone(&keeper).tidy(How::default()).await {
            Ok(report) => {
                tracing::info!(
                    repositories = report.repositories.len(),
                    uploads = report.uploads.0,
                    blobs = report.collected.blobs.len(),
                    bytes = report.collected.bytes(),
                    "upkeep of the registry"
                );
                if let Err(error) = table.put_volatile(LAST, &now()) {
                    tracing::warn!(error = %one_line(&Fault::from(error)), "cannot note the upkeep");
                }
            }
            Err(error) => {
                tracing::warn!(error = %one_line(&error), "upkeep of the registry failed");
            }
        }
    }
}

fn is_due(table: &Table<u64>) -> bool {
    let last = table.get(LAST).ok().flatten().unwrap_or(0);
    // A clock that was set back must not put it off for years. An hour's slack, so that it does not slip by one every day.
    now().abs_diff(last) >= DAY - HOUR / 2
}

async fn blocking(
    keeper: &Arc<Keeper>,
    work: impl FnOnce(&Keeper) -> Result<(), naru_store::StoreError> + Send + 'static,
) {
    let keeper = Arc::clone(keeper);
    match tokio::task::spawn_blocking(move || work(&keeper)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = %one_line(&Fault::from(error)), "cannot write what was pulled");
        }
        Err(error) => tracing::warn!(%error, "cannot write what was pulled"),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
