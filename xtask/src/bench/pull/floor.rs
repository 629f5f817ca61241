//! What a pull cannot be faster than: the layers decompressed on all cores, and their bytes written to the disk. Acts.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The blobs of the layers of a layout's one image, and their size in bytes together.
pub fn layers(layout: &Path) -> Result<(Vec<PathBuf>, u64), String> {
    let read = |path: &Path| -> Result<serde_json::Value, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    let blob = |descriptor: &serde_json::Value| -> Option<PathBuf> {
        let digest = descriptor.get("digest")?.as_str()?.strip_prefix("sha256:")?;
        Some(layout.join("blobs/sha256").join(digest))
    };
    let index = read(&layout.join("index.json"))?;
    let manifest = index.pointer("/manifests/0").and_then(blob).ok_or("no manifest")?;
    let manifest = read(&manifest)?;
    let list = manifest.get("layers").and_then(serde_json::Value::as_array).ok_or("no layers")?;
    let size = list.iter().filter_map(|layer| layer.get("size")?.as_u64()).sum();
    Ok((list.iter().filter_map(blob).collect(), size))
}

/// How long it takes to decompress all layers on all cores, and to write as many bytes as stay after a pull and make them durable: what
/// came out, and the layers as they came, for whoever pulls them from here.
pub fn measure(layout: &Path, dir: &Path) -> Result<(Duration, Duration), String> {
    let (list, packed) = layers(layout)?;
    let bytes = AtomicU64::new(packed);
    let queue = Mutex::new(list);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().map_err(|_poison| "a worker ended by panic")?.pop();
                        let Some(path) = next else { return Ok::<(), String>(()) };
                        bytes.fetch_add(inflate(&path)?, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_panic| "a worker ended by panic".to_owned())?
        })
    })?;
    let inflated = start.elapsed();
    Ok((inflated, write(&dir.join("floor"), bytes.into_inner())?))
}

fn inflate(path: &Path) -> Result<u64, String> {
    let text = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(text)?;
    let mut reader = integration_tests::image::inflating(file);
    let mut buffer = vec![0; 256 << 10];
    let mut all = 0;
    loop {
        match reader.read(&mut buffer).map_err(text)? {
            0 => return Ok(all),
            count => all += count as u64,
        }
    }
}

fn write(path: &Path, mut left: u64) -> Result<Duration, String> {
    let text = |error: std::io::Error| format!("{}: {error}", path.display());
    let buffer = vec![7; 1 << 20];
    let start = Instant::now();
    let mut file = std::fs::File::create(path).map_err(text)?;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.write_all(buffer.get(..count).unwrap_or_default()).map_err(text)?;
        left -= count as u64;
    }
    file.sync_all().map_err(text)?;
    let time = start.elapsed();
    std::fs::remove_file(path).map_err(text)?;
    Ok(time)
}
