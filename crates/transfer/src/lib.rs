//! Images in and out of the store: archives that other tools write and read.
//!
//! Acts: streams into the content store, unpacks layers side by side into snapshots, and records images last, so that
//! whatever fails leaves nothing that can be seen. What an archive *means* is decided in `layout`, `legacy` and
//! `changes`, which are pure.
//!
//! ```text
//! load    stream ─▶ collect: documents (memory), blobs (content) ─▶ layout ◆ ─▶ unpack ─▶ image names
//!                                                └▶ early: unpack what may be a layer ─┘
//! copy    registry, archive or image ─▶ manifests ─▶ plan ◆ ─▶ registry, archive or image
//! import  stream ─▶ content ─▶ changes ◆ ─▶ unpack ─▶ image name
//! own     the embedded registry's rows ─▶ unpack ─▶ image name; image name ─▶ rows: no byte is moved
//! push    image names ─▶ plan ◆ ─▶ blobs that are missing there, manifests, tags
//! save    image names ─▶ manifests ─▶ plan ◆ ─▶ stream
//! ```

mod changes;
mod collect;
mod copy;
mod documents;
mod early;
mod error;
mod fetch;
mod full;
mod hello;
mod import;
mod layout;
mod legacy;
mod load;
mod manifests;
mod own;
mod progress;
mod pull;
mod push;
mod record;
mod remote;
mod save;
mod turns;
mod unpack;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use changes::{ChangeError, apply_changes};
pub use collect::Source;
pub use copy::{AtRegistry, CopySource, Copying, Platforms, ReadyArchive, begin_copy};
pub use documents::{fetch_blobs, fetch_document, fetch_manifest_by};
pub use error::LoadError;
pub use hello::{HELLO_NAME, hello_image, is_hello, pull_hello};
pub use import::{Import, import};
pub use load::{LoadedImage, load};
pub use manifests::{fetch_manifest, platform_of, put_manifest};
pub use own::{
    OwnClaim, OwnMore, OwnRegistry, inspect_own, own_names, pull_own, push_own, refresh_own,
};
pub use progress::{Progress, Pushed, Report};
pub use pull::pull;
pub use push::push;
pub use remote::{
    AskedPause, BlobStream, Credentials, DistributionInfo, Download, LoginAnswer, MANIFEST_LIMIT,
    PullRequest, PulledImage, PushRequest, RawManifest, Registries, RegistriesConfig,
    RegistryConfig, RegistryHost, Repository, Teller, Validators, WebAnswer, WebRequest, ask_web,
    fetch_file, inspect_distribution, login, shown_address,
};
pub use save::{SaveFormat, save, save_as};
pub use unpack::{Layer, unpack, unpack_on};
