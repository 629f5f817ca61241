//! Pure: what differs in the values of the unified hierarchy.

use super::CgroupError;
use super::hierarchy::{Controller, Hierarchies, Home, parse_controllers};
use super::values::{Collector, Missing, NO_SWAP_LIMIT};
use naru_oci::runtime::LinuxMemory;
use std::collections::HashMap;

/// A limit where -1 stands for none.
pub(crate) fn max_text(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// `cpu.weight` for `cpu.shares`: the smallest, the default and the largest become each other.
pub(crate) fn cpu_weight(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    // The curve through (2, 1), (1024, 100) and (262144, 10000) that other runtimes use since 2025.
    #[expect(clippy::cast_precision_loss, reason = "it is below 2^18")]
    let log = (shares as f64).log2();
    let weight = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what fits"
    )]
    let weight = weight.clamp(1.0, 10_000.0) as u64;
    weight
}

pub(crate) fn memory(
    to: &mut Collector<'_>,
    given: &LinuxMemory,
    (limit, _, reservation): (Option<i64>, Option<i64>, Option<i64>),
) {
    if let Some(limit) = limit {
        if given.check_before_update() == Some(true) {
            to.found.check_usage = u64::try_from(limit).ok();
        }
        to.push(Controller::Memory, "memory", "memory.max", max_text(limit));
    }
    if let Some(reservation) = reservation {
        let text = max_text(reservation);
        to.push(Controller::Memory, "memory reservation", "memory.low", text);
    }
}

/// A spec counts swap together with memory; here it stands alone.
pub(crate) fn swap(
    to: &mut Collector<'_>,
    limit: Option<i64>,
    swap: Option<i64>,
) -> Result<(), CgroupError> {
    const SWAP: &str = "memory and swap";
    let text = match (limit, swap) {
        (_, Some(swap)) if swap < 0 => "max".to_owned(),
        (Some(limit), None) if limit < 0 => "max".to_owned(),
        (_, None) => return Ok(()),
        (Some(limit), Some(swap)) if limit > 0 && swap >= limit => (swap - limit).to_string(),
        (_, Some(swap)) => {
            return Err(CgroupError::BadValue {
                setting: SWAP,
                value: swap.to_string(),
                reason: "it must be at least the memory limit, which must be given too",
            });
        }
    };
    let value = ("memory.swap.max".to_owned(), text);
    to.push_or(Controller::Memory, SWAP, value, Missing::Warn(NO_SWAP_LIMIT));
    Ok(())
}

/// The map of files and values that a spec may give literally.
pub(crate) fn collect(
    to: &mut Collector<'_>,
    map: &HashMap<String, String>,
    host: &Hierarchies,
) -> Result<(), CgroupError> {
    const SETTING: &str = "files of the unified hierarchy";
    if !host.is_unified() {
        return Err(CgroupError::Unsupported {
            setting: SETTING,
            reason: "the controllers of this host are on cgroup v1",
            instead: "use the named limits, which work on both",
        });
    }
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort();
    for (file, text) in entries {
        let bad = |reason| CgroupError::BadValue { setting: SETTING, value: file.clone(), reason };
        let Some((prefix, _)) = file.split_once('.') else {
            return Err(bad("it is not the name of a control file"));
        };
        if file.contains('/') || prefix.is_empty() || prefix == "cgroup" {
            return Err(bad("only files of controllers may be set"));
        }
        let Some(controller) = parse_controllers(prefix).first().copied() else {
            return Err(bad("there is no such controller"));
        };
        if to.home(controller, SETTING)? != Home::Unified {
            return Err(bad("its controller is not on the unified hierarchy"));
        }
        to.push(controller, SETTING, file.clone(), text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in [
            (0, 1),
            (2, 1),
            (1024, 100),
            (512, 59),
            (2048, 174),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(cpu_weight(shares), weight, "{shares}");
        }
    }
}
