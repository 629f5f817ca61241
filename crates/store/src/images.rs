//! Images and their names.
//!
//! Acts. An image is known by its image ID and stays when its last name goes (it is then *dangling*). A name points
//! to one image; giving it to another takes it from the first. Both are rows; the bytes are blobs.

use crate::core::Core;
use crate::journal::{Batch, Check};
use crate::row::Row;
use crate::schema::{Key, table};
use crate::{StoreError, Ticket};
use naru_errdefs::{Failure, Kind};
use naru_oci::{ChainId, Config, Descriptor, Digest, ImageId, Platform, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is stored about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The manifest, or the index it was chosen from.
    pub target: Descriptor,
    /// The manifest.
    pub manifest: Digest,
    /// The digest of the config.
    pub image_id: ImageId,
    /// The config blob; the same digest as the image ID.
    pub config: Digest,
    /// The snapshot of all layers; none for an image without layers.
    #[serde(default)]
    pub chain: Option<ChainId>,
    /// The unpacked size of all layers.
    #[serde(default)]
    pub size: u64,
    /// When the image was made, as its config says (RFC 3339).
    #[serde(default)]
    pub created: Option<String>,
    /// What it runs on.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// The image it was built on, when that is known.
    #[serde(default)]
    pub parent: Option<ImageId>,
    /// When it came into this store, in seconds since 1970.
    #[serde(default)]
    pub added: u64,
}

pub(crate) type ImageRow = ImageRecord;

impl ImageRecord {
    /// The record of an image that comes into the store now: what its names lead to, its manifest, its configuration by digest and content, and the
    /// snapshot of its layers with their unpacked size.
    pub fn new(
        target: Descriptor,
        manifest: Digest,
        (digest, config): (Digest, &Config),
        (chain, size): (Option<ChainId>, u64),
    ) -> ImageRecord {
        ImageRecord {
            target,
            manifest,
            image_id: ImageId(digest),
            config: digest,
            chain,
            size,
            created: config.created.clone(),
            platform: Some(config.platform()),
            parent: None,
            added: crate::core::now(),
        }
    }
}

impl Row for ImageRecord {
    const VERSION: u8 = 1;
}

/// What a name points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameRow {
    pub(crate) image_id: ImageId,
    pub(crate) target: Descriptor,
    #[serde(default)]
    pub(crate) tagged: u64,
}

impl Row for NameRow {
    const VERSION: u8 = 1;
}

/// An image's rows in one file, beside the blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageCopy {
    pub(crate) image: ImageRow,
    pub(crate) names: BTreeMap<Reference, NameRow>,
}

impl Row for ImageCopy {
    const VERSION: u8 = 1;
}

/// An image and its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What is stored about it.
    pub record: ImageRecord,
    /// Its names, sorted; none when it is dangling.
    pub names: Vec<Reference>,
    /// When a name was last given to it, in seconds since 1970; zero when it has none.
    pub tagged: u64,
}

impl Image {
    /// The image ID.
    pub fn id(&self) -> ImageId {
        self.record.image_id
    }
}

/// Why a text names no image.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No name and no ID is like it.
    #[error("No such image: {text}")]
    Unknown {
        /// The text, with its tag.
        text: String,
    },
    /// Several IDs start with it.
    #[error("image ID prefix `{text}` is ambiguous: {} images start with it", matches.len())]
    Ambiguous {
        /// The text.
        text: String,
        /// The IDs.
        matches: Vec<ImageId>,
    },
    /// The text is no reference and no ID.
    #[error(transparent)]
    Format(#[from] naru_oci::ParseReferenceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            ResolveError::Unknown { .. } => Kind::NotFound,
            ResolveError::Ambiguous { .. } => Kind::InvalidInput,
            ResolveError::Format(error) => error.kind(),
            ResolveError::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ResolveError::Unknown { .. } => Some(
                "see what is here with `naru images`, or bring it in with `naru load`".to_owned(),
            ),
            ResolveError::Ambiguous { matches, .. } => {
                let ids: Vec<String> = matches.iter().take(4).map(|id| id.0.hex()).collect();
                Some(format!("write more digits; the images are {}", ids.join(", ")))
            }
            ResolveError::Format(error) => error.hint(),
            ResolveError::Store(error) => error.hint(),
        }
    }
}

/// Images and their names.
#[derive(Debug, Clone)]
pub struct Images {
    core: Arc<Core>,
}

impl Batch {
    /// Records an image without touching names.
    pub fn put_image(&mut self, record: &ImageRecord) {
        self.put(Key::image(&record.image_id), record);
    }

    /// Gives a name to an image, taking it from whichever has it. The image must be there, or be in this batch
    /// before.
    pub fn put_name(&mut self, reference: &Reference, record: &ImageRecord) {
        let image = Key::image(&record.image_id);
        if !self.changes.iter().any(|(key, value)| *key == image && value.is_some()) {
            self.check(image, Check::Present);
        }
        let row = NameRow {
            image_id: record.image_id,
            target: record.target.clone(),
            tagged: crate::core::now(),
        };
        self.put(Key::name(reference), &row);
    }

    /// Takes a name away; its image stays.
    pub fn remove_name(&mut self, reference: &Reference) {
        self.check(Key::name(reference), Check::Present);
        self.remove(Key::name(reference));
    }

    /// Removes an image. Its names must be removed in the same batch, or be gone.
    pub fn remove_image(&mut self, id: &ImageId) {
        self.check(Key::image(id), Check::Present);
        self.remove(Key::image(id));
    }
}

impl Images {
    pub(crate) fn new(core: Arc<Core>) -> Images {
        Images { core }
    }

    /// Records an image and gives it a name. The blobs and the snapshot must be there and held by a lease.
    pub fn put(&self, reference: &Reference, record: &ImageRecord) -> Result<(), StoreError> {
        self.put_batch(reference, record).wait()
    }

    /// [`Images::put`] without waiting.
    pub fn put_batch(&self, reference: &Reference, record: &ImageRecord) -> Ticket {
        let mut batch = Batch::new();
        batch.put_image(record);
        batch.put_name(reference, record);
        self.core.journal.submit(batch)
    }

    /// Records an image that has no name.
    pub fn put_unnamed(&self, record: &ImageRecord) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put_image(record);
        self.core.journal.commit(batch)
    }

    /// Gives another name to an image that is there.
    pub fn tag(&self, reference: &Reference, id: &ImageId) -> Result<(), StoreError> {
        let key = Key::image(id);
        let record = self.core.journal.get::<ImageRow>(&key)?.ok_or_else(|| {
            StoreError::Absent { table: table::IMAGE.to_owned(), key: id.to_string() }
        })?;
        let mut batch = Batch::new();
        batch.put_name(reference, &record);
        self.core.journal.commit(batch)
    }

    /// The image that a name points to.
    pub fn get(&self, reference: &Reference) -> Result<Option<ImageRecord>, StoreError> {
        match self.core.journal.get::<NameRow>(&Key::name(reference))? {
            Some(name) => self.core.journal.get(&Key::image(&name.image_id)),
            None => Ok(None),
        }
    }

    /// An image by its ID, with its names.
    pub fn by_id(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        let Some(record) = self.core.journal.get::<ImageRow>(&Key::image(id))? else {
            return Ok(None);
        };
        let (mut names, mut tagged) = (Vec::new(), 0);
        for (name, row) in self.names()? {
            if row.image_id == *id {
                names.push(name);
                tagged = tagged.max(row.tagged);
            }
        }
        Ok(Some(Image { record, names, tagged }))
    }

    /// All images, by ID.
    pub fn list(&self) -> Result<Vec<Image>, StoreError> {
        let mut images: BTreeMap<ImageId, Image> = self
            .core
            .journal
            .list::<ImageRow>(table::IMAGE)?
            .into_iter()
            .map(|(_, record)| (record.image_id, Image { record, names: Vec::new(), tagged: 0 }))
            .collect();
        for (name, row) in self.names()? {
            if let Some(image) = images.get_mut(&row.image_id) {
                image.names.push(name);
                image.tagged = image.tagged.max(row.tagged);
            }
        }
        Ok(images.into_values().collect())
    }

    /// Takes a name away; says which image had it. The image stays, with its other names or dangling.
    pub fn remove(&self, reference: &Reference) -> Result<ImageId, StoreError> {
        let key = Key::name(reference);
        let absent =
            || StoreError::Absent { table: table::NAME.to_owned(), key: reference.familiar() };
        let row = self.core.journal.get::<NameRow>(&key)?.ok_or_else(absent)?;
        let mut batch = Batch::new();
        batch.remove_name(reference);
        self.core.journal.commit(batch)?;
        Ok(row.image_id)
    }

    /// Removes an image and all its names. Blobs and snapshots stay until the next collection.
    pub fn remove_image(&self, id: &ImageId) -> Result<Image, StoreError> {
        let image = self.by_id(id)?.ok_or_else(|| StoreError::Absent {
            table: table::IMAGE.to_owned(),
            key: id.to_string(),
        })?;
        let mut batch = Batch::new();
        for name in &image.names {
            batch.remove_name(name);
        }
        batch.remove_image(id);
        self.core.journal.commit(batch)?;
        Ok(image)
    }

    /// The image that a person means: a name, an ID, or the first digits of an ID.
    pub fn resolve(&self, text: &str) -> Result<Image, ResolveError> {
        if let Ok(digest) = text.parse::<Digest>() {
            return self
                .by_id(&ImageId(digest))?
                .ok_or_else(|| ResolveError::Unknown { text: text.to_owned() });
        }
        let reference = match text.parse::<Reference>() {
            Ok(reference) => Some(reference.or_latest()),
            Err(naru_oci::ParseReferenceError::LooksLikeId { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(reference) = &reference
            && let Some(record) = self.get(reference)?
            && let Some(image) = self.by_id(&record.image_id)?
        {
            return Ok(image);
        }
        let unknown = || ResolveError::Unknown {
            text: reference.as_ref().map_or_else(|| text.to_owned(), Reference::familiar),
        };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.is_empty()
            || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(unknown());
        }
        let prefix = format!("sha256:{digits}");
        let matches: Vec<ImageId> = self
            .core
            .journal
            .list_bytes(table::IMAGE)
            .into_iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .filter_map(|(key, _)| key.parse().ok())
            .collect();
        match matches.as_slice() {
            [] => Err(unknown()),
            [id] => self.by_id(id)?.ok_or_else(unknown),
            _ => Err(ResolveError::Ambiguous { text: text.to_owned(), matches }),
        }
    }

    fn names(&self) -> Result<Vec<(Reference, NameRow)>, StoreError> {
        Ok(self
            .core
            .journal
            .list::<NameRow>(table::NAME)?
            .into_iter()
            .filter_map(|(key, row)| Some((key.parse().ok()?, row)))
            .collect())
    }
}
