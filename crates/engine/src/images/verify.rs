//! Acts: checks the store, and unpacks layers for it.

use super::{Finding, Images};
use naru_errdefs::Fault;
use naru_layer::{Limits, apply, settle};
use naru_store::{LayerSource, Repair, Verify};
use std::error::Error;
use std::path::{Path, PathBuf};

impl Images {
    /// Checks the whole store: every blob, reference and unpacked layer; with `repair`, drops or unpacks again what is
    /// damaged. Layers below a running container are not replaced.
    pub async fn verify(&self, repair: bool) -> Result<Vec<Finding>, Fault> {
        let users = (self.users)();
        self.blocking(move |store| {
            let is_mounted = |key: &str| {
                users.iter().any(|user| user.running && key.contains(user.container.as_str()))
            };
            let how = Verify { repair, unpack: &unpack, is_mounted: &is_mounted };
            let mut findings = Vec::new();
            store.verify(&how, &mut |finding| {
                findings.push(match finding.repair {
                    None => Finding { message: finding.message, repair: None },
                    Some(Repair::Done(done)) => {
                        Finding { message: finding.message, repair: Some(done) }
                    }
                    Some(Repair::Failed(why)) => Finding {
                        message: format!("{} (not repaired: {why})", finding.message),
                        repair: None,
                    },
                });
            })?;
            if repair {
                store.collect()?;
            }
            Ok(findings)
        })
        .await
    }
}

fn unpack(
    layer: LayerSource,
    into: &Path,
    lower: &[PathBuf],
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let applied = apply(layer.file, into, &Limits::standard())?;
    if applied.diff_id != layer.diff_id {
        let (found, expected) = (applied.diff_id, layer.diff_id);
        return Err(format!("it unpacks to `{found}` instead of `{expected}`").into());
    }
    settle(into, lower, &applied.changes)?;
    Ok(applied.changes.content)
}
