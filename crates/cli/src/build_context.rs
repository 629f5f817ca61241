//! The build context: the files of a directory that a build may use, told to the daemon by what they contain, so that only
//! what it lacks is sent.
//!
//! Acts: reads the directory and a small file of digests of the user's (see [`digests`]). What is left out is decided by
//! whoever calls ([`walk::Verdict`]).
//!
//! ```text
//!   walk ─▶ files ─▶ digests (hashed on all processors, or known from last time) ─▶ announced ─▶ missing ─▶ pack
//! ```

pub mod digests;
pub mod ignored;
pub mod pack;
pub mod walk;

use naru_api_types::build::{Base64, ContextFile, ContextFiles};
use naru_errdefs::Fault;
use naru_oci::Digest;
use std::path::PathBuf;
use walk::{Found, Kind};

/// A context that was read: what is announced, and where its contents are.
#[derive(Debug)]
pub struct Context {
    root: PathBuf,
    found: Vec<Found>,
    digests: Vec<Option<Digest>>,
}

impl Context {
    /// Looks up or computes the digests of all files.
    pub fn read(root: PathBuf, found: Vec<Found>) -> Result<Context, Fault> {
        let digests = digests::of(&root, &found)?;
        Ok(Context { root, found, digests })
    }

    /// How many bytes its files have.
    pub fn size(&self) -> u64 {
        self.found.iter().map(|found| found.size).fold(0, u64::saturating_add)
    }

    /// Bytes of the files with these indices.
    pub fn size_of(&self, indices: &[u32]) -> u64 {
        let size = |index: &u32| {
            usize::try_from(*index)
                .ok()
                .and_then(|index| self.found.get(index))
                .map_or(0, |f| f.size)
        };
        indices.iter().map(size).fold(0, u64::saturating_add)
    }

    /// What is told of it; nothing when a name is not UTF-8, which JSON cannot hold.
    pub fn announced(&self) -> Option<ContextFiles> {
        let file = |(found, digest): (&Found, &Option<Digest>)| {
            Some(ContextFile {
                path: found.path.to_str()?.to_owned(),
                mode: found.mode,
                modified: found.modified,
                size: found.size,
                digest: digest.map(|digest| digest.to_string()).unwrap_or_default(),
                target: match &found.kind {
                    Kind::Link(target) => target.to_str()?.to_owned(),
                    Kind::Directory | Kind::File => String::new(),
                },
                attributes: found
                    .attributes
                    .iter()
                    .map(|(name, value)| {
                        Some((String::from_utf8(name.clone()).ok()?, Base64::new(value)))
                    })
                    .collect::<Option<_>>()?,
            })
        };
        let files = self.found.iter().zip(&self.digests).map(file).collect::<Option<_>>()?;
        Some(ContextFiles { files })
    }

    /// The contents with these indices as an archive, each named by its digest and mode.
    pub fn pack(&self, indices: &[u32]) -> Result<pack::Packed, Fault> {
        let mut wanted = Vec::with_capacity(indices.len());
        for index in indices {
            let place = usize::try_from(*index).ok();
            let found = place.and_then(|place| self.found.get(place));
            let digest = place.and_then(|place| self.digests.get(place).copied().flatten());
            let (Some(found), Some(digest)) = (found, digest) else {
                return Err(Fault::internal(format!(
                    "the daemon asks for a file {index} that was not announced"
                )));
            };
            wanted.push(pack::Piece {
                name: format!("{}-{:o}", digest.hex(), found.mode & 0o7777).into(),
                found: found.clone(),
                follow: None,
            });
        }
        pack::stream(&self.root, wanted)
    }

    /// Everything as an archive, under its own names.
    pub fn into_pieces(self) -> Vec<pack::Piece> {
        let piece = |found: Found| pack::Piece { name: found.path.clone(), found, follow: None };
        self.found.into_iter().map(piece).collect()
    }
}
