//! Acts: what the build cache holds, and what of it goes.

use crate::build::Builder;
use crate::event::{CacheRecord, PruneBuild, PrunedBuild};
use crate::mounts;
use naru_errdefs::{Fault, Kind};
use naru_oci::{ChainId, Digest};
use naru_store::{Batch, CachedStep};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a record of the cache stands for.
#[derive(Debug, Clone)]
enum Behind {
    /// Rows of vertices that made the same layer.
    Rows(Vec<String>),
    /// A cache mount.
    Mount(PathBuf),
    /// Contents of contexts.
    Files,
}

impl Builder {
    /// What the build cache holds, the least recently used first.
    pub fn usage(&self) -> Result<Vec<CacheRecord>, Fault> {
        Ok(self.records()?.into_iter().map(|(record, _)| record).collect())
    }

    fn records(&self) -> Result<Vec<(CacheRecord, Behind)>, Fault> {
        let store = &self.inner.store;
        let mut by_chain: BTreeMap<Option<ChainId>, (CachedStep, Vec<String>)> = BTreeMap::new();
        for (key, step) in store.build_cache.list()? {
            if step.layer.is_none() {
                continue;
            }
            match by_chain.get_mut(&step.chain) {
                Some((known, keys)) => {
                    known.last_used = known.last_used.max(step.last_used);
                    known.uses += step.uses;
                    keys.push(key);
                }
                None => {
                    by_chain.insert(step.chain, (step, vec![key]));
                }
            }
        }
        let held = self.held_by_images()?;
        let ids: BTreeMap<ChainId, String> =
            by_chain.keys().flatten().map(|chain| (*chain, short(&chain.to_string()))).collect();
        let mut list = Vec::new();
        for (chain, (step, keys)) in &by_chain {
            let Some(chain) = chain else { continue };
            let layer = step.layer.as_ref();
            let record = CacheRecord {
                id: short(&chain.to_string()),
                parents: step.parent.iter().filter_map(|above| ids.get(above).cloned()).collect(),
                kind: "regular".to_owned(),
                description: step.description.clone(),
                in_use: false,
                shared: held.contains(chain),
                size: layer.map_or(0, |layer| layer.size + layer.blob.size),
                created: step.created,
                last_used: step.last_used,
                uses: step.uses,
            };
            list.push((record, Behind::Rows(keys.clone())));
        }
        for (place, id, size, used) in mounts::list(&self.inner.place)? {
            let record = CacheRecord {
                id: short(&Digest::of(place.to_string_lossy().as_bytes()).to_string()),
                parents: Vec::new(),
                kind: "exec.cachemount".to_owned(),
                description: format!("cached mount {id}"),
                in_use: self.inner.mounts.is_used(&place),
                shared: false,
                size,
                created: used,
                last_used: used,
                uses: 0,
            };
            list.push((record, Behind::Mount(place)));
        }
        let (bytes, _) = self.inner.files.shrink(u64::MAX, Duration::MAX)?;
        if bytes > 0 {
            let now = now();
            let record = CacheRecord {
                id: short(&Digest::of(b"contents of contexts").to_string()),
                parents: Vec::new(),
                kind: "source.local".to_owned(),
                description: "contents of build contexts".to_owned(),
                in_use: false,
                shared: false,
                size: bytes,
                created: now,
                last_used: now,
                uses: 0,
            };
            list.push((record, Behind::Files));
        }
        list.sort_by(|(one, _), (other, _)| {
            (one.last_used, one.created, &one.id).cmp(&(other.last_used, other.created, &other.id))
        });
        Ok(list)
    }

    /// The snapshots that images are made of.
    fn held_by_images(&self) -> Result<BTreeSet<ChainId>, Fault> {
        let store = &self.inner.store;
        let mut held = BTreeSet::new();
        for image in store.images.list()? {
            let mut next = image.record.chain;
            while let Some(chain) = next {
                if !held.insert(chain) {
                    break;
                }
                next = store.snapshots.get(&chain).ok().and_then(|found| found.parent);
            }
        }
        Ok(held)
    }

    /// Takes from the cache what is not used, the least recently used first.
    pub fn prune(&self, what: &PruneBuild) -> Result<PrunedBuild, Fault> {
        for name in what.filters.keys() {
            if !["inuse", "shared", "private", "description", "parent"].contains(&name.as_str()) {
                return Err(Fault::invalid(format!("invalid filter '{name}'")));
            }
        }
        let records = self.records()?;
        let mut left: u64 = records.iter().map(|(record, _)| record.size).sum();
        let now = now();
        let mut pruned = PrunedBuild::default();
        let mut batch = Batch::new();
        for (record, behind) in &records {
            if !chosen(what, record, now) {
                continue;
            }
            // With a bound, only what is above it goes; without one, all that was chosen.
            if what.max_bytes > 0 && left <= what.max_bytes.max(what.keep_bytes) {
                break;
            }
            if what.max_bytes == 0 && what.keep_bytes > 0 && left <= what.keep_bytes {
                break;
            }
            match behind {
                Behind::Rows(keys) => {
                    for key in keys {
                        batch.remove_cached_step(key);
                    }
                }
                Behind::Mount(place) => match mounts::discard(&self.inner.mounts, place) {
                    Err(fault) if fault.kind() == Kind::Conflict => continue,
                    done => done?,
                },
                Behind::Files => {
                    let idle = what.unused_for.unwrap_or_default();
                    let (_, removed) = self.inner.files.shrink(0, idle)?;
                    if removed == 0 {
                        continue;
                    }
                }
            }
            left = left.saturating_sub(record.size);
            // What an image holds is still there.
            if !record.shared {
                pruned.reclaimed += record.size;
            }
            pruned.deleted.push(record.id.clone());
        }
        if is_broad(what) {
            self.forget_configurations(what, now, &mut batch)?;
        }
        if !batch.is_empty() {
            self.inner.store.commit(batch)?;
            self.inner.store.collect()?;
        }
        Ok(pruned)
    }
}

impl Builder {
    /// Rows of steps that made no layer take no room worth showing; they go when nothing was chosen by name.
    fn forget_configurations(
        &self,
        what: &PruneBuild,
        now: u64,
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        let idle = what.unused_for.unwrap_or_default().as_secs();
        for (key, step) in self.inner.store.build_cache.list()? {
            if step.layer.is_none() && now.saturating_sub(step.last_used) >= idle {
                batch.remove_cached_step(&key);
            }
        }
        Ok(())
    }
}

/// Whether no records are chosen by what they are, nor spared by a bound.
fn is_broad(what: &PruneBuild) -> bool {
    what.ids.is_empty()
        && what.types.is_empty()
        && what.filters.is_empty()
        && (what.max_bytes, what.keep_bytes) == (0, 0)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn short(digest: &str) -> String {
    let hex = digest.split(':').next_back().unwrap_or(digest);
    hex.chars().take(25).collect()
}

/// Whether a record may go.
fn chosen(what: &PruneBuild, record: &CacheRecord, now: u64) -> bool {
    if record.in_use {
        return false;
    }
    if !what.all && (record.shared || record.kind == "exec.cachemount") {
        return false;
    }
    if let Some(idle) = what.unused_for
        && now.saturating_sub(record.last_used.max(record.created)) < idle.as_secs()
    {
        return false;
    }
    let named = |list: &[String]| list.iter().any(|id| record.id.starts_with(id.as_str()));
    if !what.ids.is_empty() && !named(&what.ids) {
        return false;
    }
    if !what.types.is_empty() && !what.types.contains(&record.kind) {
        return false;
    }
    let wants = |values: &[String], is: bool| {
        values.iter().any(|value| value.parse::<bool>().unwrap_or(true) == is)
    };
    what.filters.iter().all(|(name, values)| match name.as_str() {
        "inuse" => wants(values, record.in_use),
        "shared" => wants(values, record.shared),
        "private" => wants(values, !record.shared),
        "description" => values.contains(&record.description),
        "parent" => values.iter().any(|id| record.parents.contains(id)),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_is_what_was_asked_for() {
        let record = CacheRecord {
            id: "abc".to_owned(),
            parents: Vec::new(),
            kind: "regular".to_owned(),
            description: "RUN x".to_owned(),
            in_use: false,
            shared: false,
            size: 1,
            created: 100,
            last_used: 200,
            uses: 1,
        };
        let plain = PruneBuild::default();
        assert!(chosen(&plain, &record, 1000));
        assert!(!chosen(&plain, &CacheRecord { in_use: true, ..record.clone() }, 1000));
        assert!(!chosen(&plain, &CacheRecord { shared: true, ..record.clone() }, 1000));
        let all = PruneBuild { all: true, ..PruneBuild::default() };
        assert!(chosen(&all, &CacheRecord { shared: true, ..record.clone() }, 1000));
        let unused = |seconds| PruneBuild {
            unused_for: Some(Duration::from_secs(seconds)),
            ..PruneBuild::default()
        };
        assert!(chosen(&unused(800), &record, 1000));
        assert!(!chosen(&unused(801), &record, 1000));
        let ids = |id: &str| PruneBuild { ids: vec![id.to_owned()], ..PruneBuild::default() };
        assert!(chosen(&ids("ab"), &record, 1000));
        assert!(!chosen(&ids("b"), &record, 1000));
    }
}
