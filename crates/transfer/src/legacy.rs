//! Pure: archives that docker wrote before 1.10: `repositories`, and a directory per layer with its own `json`.

use crate::error::LoadError;
use crate::layout::{Contents, Wanted, assemble, reference};
use naru_oci::{Config, ContainerDefaults, History, RootFs};
use serde::Deserialize;
use std::collections::BTreeMap;

/// No image had more layers than this.
const MOST_LAYERS: usize = 1024;

/// What one layer's `json` says.
#[derive(Deserialize)]
struct LayerConfig {
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    config: Option<ContainerDefaults>,
    #[serde(default)]
    container_config: Option<ContainerDefaults>,
}

/// Finds the images by the names in `repositories`.
pub(crate) fn plan(contents: &Contents) -> Result<Vec<Wanted>, LoadError> {
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        contents.parse("repositories")?;
    let mut images: Vec<Wanted> = Vec::new();
    for (repository, tags) in repositories {
        for (tag, top) in tags {
            let name = reference(&format!("{repository}:{tag}"))?;
            let mut image = image(contents, &top)?;
            match images.iter_mut().find(|known| known.manifest.digest == image.manifest.digest) {
                Some(known) => known.names.push(name),
                None => {
                    image.names.push(name);
                    images.push(image);
                }
            }
        }
    }
    Ok(images)
}

/// The image whose topmost layer is `top`.
fn image(contents: &Contents, top: &str) -> Result<Wanted, LoadError> {
    let mut chain = Vec::new();
    let mut next = Some(top.to_owned());
    while let Some(id) = next.take().filter(|id| !id.is_empty()) {
        let parsed: LayerConfig = contents.parse(&format!("{id}/json"))?;
        next = parsed.parent.clone();
        chain.push((id, parsed));
        if chain.len() > MOST_LAYERS {
            return Err(LoadError::TooLarge {
                name: format!("{top}/json"),
                limit: MOST_LAYERS as u64,
            });
        }
    }
    chain.reverse();
    let (mut layers, mut diff_ids, mut history) = (Vec::new(), Vec::new(), Vec::new());
    for (id, layer) in &chain {
        let descriptor = contents.layer(&format!("{id}/layer.tar"))?;
        // Layers of these archives are never compressed.
        diff_ids.push(naru_oci::DiffId(descriptor.digest));
        layers.push(descriptor);
        let command = layer.container_config.as_ref().and_then(|config| config.cmd.clone());
        history.push(History {
            created: layer.created.clone(),
            created_by: command.map(|words| words.join(" ")),
            author: layer.author.clone(),
            ..History::default()
        });
    }
    let Some((_, last)) = chain.pop() else {
        return Err(LoadError::Missing { name: format!("{top}/json") });
    };
    let config = Config {
        created: last.created,
        author: last.author,
        architecture: last.architecture.unwrap_or_else(|| "amd64".to_owned()),
        os: last.os.unwrap_or_else(|| "linux".to_owned()),
        variant: None,
        config: last.config.unwrap_or_default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history,
        other: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&config)
        .map_err(|source| LoadError::Json { name: top.to_owned(), source })?;
    assemble(Vec::new(), &bytes, layers)
}
