//! `bench registry`: blobs in and out, manifests, tags and memory, beside Debian's docker-registry. Acts.

mod bare;
mod http;
mod server;

pub use server::Server;

use super::measure::middle;
use super::report::Row;
use crate::shell;
use http::Connection;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Media type of the one manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BYTES: &str = "application/octet-stream";
/// How many requests at a time.
const CLIENTS: [usize; 3] = [1, 8, 64];

/// A size of blobs, with the most requests of one measurement.
struct Size {
    name: &'static str,
    bytes: usize,
    gets: usize,
    puts: usize,
}

/// What clients do with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// They get it and leave its bytes in the kernel: what is measured is the server.
    Get,
    /// They get it and read its bytes, on the processors that the server runs on.
    Read,
    /// They put it.
    Put,
}

const SIZES: [Size; 3] = [
    Size { name: "1 KB", bytes: 1_000, gets: 20_000, puts: 3_000 },
    Size { name: "1 MB", bytes: 1_000_000, gets: 4_000, puts: 400 },
    Size { name: "100 MB", bytes: 100_000_000, gets: 64, puts: 4 },
];

/// How often a row is measured, both servers in turn: the median counts, so that a moment in which the machine was busy with
/// something else is not taken for one of them.
const ROUNDS: usize = 3;

/// Measures everything, or the blobs of which a row's name has one of these words, and returns the rows of the table.
pub fn run(binary: &Path, quick: bool, words: &[&str]) -> Result<Vec<Row>, String> {
    let dir = tempfile::Builder::new()
        .prefix("naru-bench")
        .tempdir()
        .map_err(|error| error.to_string())?;
    let servers = [Server::ours(binary, dir.path())?, Server::docker(dir.path(), None)?];
    let limit = Duration::from_millis(if quick { 300 } else { 2000 });
    let body = noise();
    let file = dir.path().join("bare");
    super::report::write_bytes(&file, &body)?;
    let bare = bare::serve(&file)?;
    let mut rows = Vec::new();
    for size in &SIZES {
        for clients in CLIENTS {
            for load in [Load::Get, Load::Read, Load::Put] {
                let name = name(size, clients, load);
                if words.is_empty() || words.iter().any(|word| name.contains(word)) {
                    rows.push(blobs((&servers, &bare), &body, size, (clients, load), limit)?);
                }
            }
        }
    }
    if !words.is_empty() {
        return Ok(rows);
    }
    rows.push(manifests(&servers, if quick { "1s" } else { "4s" })?);
    rows.extend(tags(&servers, if quick { 500 } else { 10_000 })?);
    rows.push(memory(&servers)?);
    Ok(rows)
}

/// Pure: bytes that do not compress, the same each time.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(100_000_000);
    while bytes.len() < 100_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// One blob: sixteen bytes of its own, then those of all.
struct Blob<'a> {
    own: [u8; 16],
    rest: &'a [u8],
    digest: String,
}

fn blob(body: &[u8], size: usize, number: u128) -> Blob<'_> {
    let own = number.to_le_bytes();
    let rest = body.get(..size.saturating_sub(own.len())).unwrap_or_default();
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&own);
    context.update(rest);
    Blob { own, rest, digest: digest(context.finish().as_ref()) }
}

fn digest(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn put(connection: &mut Connection, blob: &Blob<'_>) -> Result<(), String> {
    let opened = connection.ask("POST", "/v2/bench/box/blobs/uploads/", BYTES, &[], false)?;
    // An absolute location is of the same server.
    let target = opened
        .location
        .strip_prefix("http://")
        .and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)))
        .unwrap_or(&opened.location);
    let sign = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{sign}digest={}", blob.digest);
    let done = connection.ask("PUT", &target, BYTES, &[&blob.own, blob.rest], true)?;
    expect(done.status, 201, &done.body)
}

fn expect(status: u16, wanted: u16, body: &[u8]) -> Result<(), String> {
    if status == wanted {
        return Ok(());
    }
    Err(format!("status {status} instead of {wanted}: {}", String::from_utf8_lossy(body)))
}

/// Requests of so many clients until the count or the time is used up: how many were done, and in how long.
fn load(
    address: &str,
    clients: usize,
    copies: bool,
    count: usize,
    limit: Duration,
    request: &(dyn Fn(&mut Connection, usize) -> Result<(), String> + Sync),
) -> Result<f64, String> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let connections = (0..clients)
        .map(|_| Ok(Connection::open(address)?.copying(copies)))
        .collect::<Result<Vec<_>, String>>()?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (next, done) = (&next, &done);
                scope.spawn(move || {
                    while start.elapsed() < limit {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        request(&mut connection, number)?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_panic| "a client ended by panic".to_owned())?
        })
    })?;
    Ok(done.into_inner() as f64 / start.elapsed().as_secs_f64())
}

fn blobs(
    (servers, bare): (&[Server; 2], &str),
    body: &[u8],
    size: &Size,
    (clients, what): (usize, Load),
    limit: Duration,
) -> Result<Row, String> {
    let puts = what == Load::Put;
    let name = name(size, clients, what);
    shell::say(&name);
    let count = if puts { size.puts.max(clients.min(12)) } else { size.gets };
    // No blob is put twice: the number of clients and the size are part of it.
    let made = if puts { count * ROUNDS } else { 1 };
    let seed = (clients as u128) << 64 | (size.bytes as u128) << 96 | (what as u128) << 62;
    let list: Vec<Blob<'_>> =
        (0..made).map(|number| blob(body, size.bytes, seed + number as u128)).collect();
    let measure = |name: &str, address: &str, target: &str, round: usize| -> Result<f64, String> {
        let copies = what == Load::Read;
        let rate = load(address, clients, copies, count, limit, &|connection, number| {
            if puts {
                return put(connection, list.get(round * count + number).ok_or("no blob")?);
            }
            let got = connection.ask("GET", target, BYTES, &[], false)?;
            if got.length != size.bytes as u64 {
                return Err(format!("{} bytes instead of {}", got.length, size.bytes));
            }
            expect(got.status, 200, &[])
        })
        .map_err(|error| format!("{name}: {error}"))?;
        Ok(if size.bytes > 1000 { rate * size.bytes as f64 / 1e6 } else { rate })
    };
    let first = list.first().ok_or("no blob")?;
    let target = format!("/v2/bench/box/blobs/{}", first.digest);
    let (mut ours, mut theirs, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let whole = format!("/{}", size.bytes);
    for round in 0..ROUNDS {
        for (server, rates) in servers.iter().zip([&mut ours, &mut theirs]) {
            if !puts && round == 0 {
                put(&mut Connection::open(&server.address)?, first)?;
            }
            rates.push(measure(server.name, &server.address, &target, round)?);
        }
        if !puts && size.bytes > 1_000_000 {
            floor.push(measure("bare sendfile", bare, &whole, round)?);
        }
    }
    let (ours, theirs) = (middle(ours), middle(theirs));
    let bar = if puts { 1.5 } else { 2.0 };
    let mut row = row(name, ours, theirs, bar);
    if !floor.is_empty() {
        let bare = middle(floor);
        row.peers.push_str(&format!(", bare sendfile {bare:.0} (×{:.2})", ours / bare));
        shell::say(&format!("  {}", row.peers));
    }
    Ok(row)
}

/// What a row is called.
fn name(size: &Size, clients: usize, what: Load) -> String {
    let (verb, how) = match what {
        Load::Get => ("GET", ""),
        Load::Read => ("GET", ", client reads"),
        Load::Put => ("PUT", ""),
    };
    let unit = if size.bytes > 1000 { "MB/s" } else { "a second" };
    format!("blob {verb}, {}, {clients} clients{how} ({unit})", size.name)
}

/// A row of rates.
fn row(what: String, ours: f64, theirs: f64, bar: f64) -> Row {
    let ratio = ours / theirs;
    let row = Row {
        what,
        ours: format!("{ours:.0}"),
        peers: format!("docker-registry {theirs:.0} (×{ratio:.2})"),
        bar: format!("{bar} times docker-registry"),
        met: Some(ratio >= bar),
    };
    shell::say(&format!("  {} | {}", row.ours, row.peers));
    row
}

/// Puts the manifest of an image without layers and returns its bytes.
fn image(server: &Server) -> Result<Vec<u8>, String> {
    let mut connection = Connection::open(&server.address)?;
    let config = blob(&[], 16, 7);
    put(&mut connection, &config)?;
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"{0}\",\"size\":16}},\"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"{0}\",\"size\":16}}]}}",
        config.digest
    )
    .into_bytes();
    tag(&mut connection, &manifest, "latest")?;
    Ok(manifest)
}

fn tag(connection: &mut Connection, manifest: &[u8], name: &str) -> Result<(), String> {
    let target = format!("/v2/bench/box/manifests/{name}");
    let done = connection.ask("PUT", &target, MANIFEST, &[manifest], true)?;
    expect(done.status, 201, &done.body)
}

fn manifests(servers: &[Server; 2], time: &str) -> Result<Row, String> {
    shell::say("manifest GETs");
    let rate = |server: &Server| -> Result<f64, String> {
        image(server)?;
        if shell::exists("wrk") {
            let url = format!("http://{}/v2/bench/box/manifests/latest", server.address);
            let output = Command::new("wrk")
                .args(["-t2", "-c64", "-d", time, "-H", &format!("Accept: {MANIFEST}"), &url])
                .output()
                .map_err(|error| format!("cannot run wrk: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let number = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
            if text.contains("Non-2xx") {
                return Err(format!("{}: {text}", server.name));
            }
            return number.and_then(|number| number.trim().parse().ok()).ok_or_else(|| text.into());
        }
        let limit = Duration::from_secs(3);
        load(&server.address, 64, true, usize::MAX, limit, &|connection, _| {
            let target = "/v2/bench/box/manifests/latest";
            expect(connection.ask("GET", target, BYTES, &[], false)?.status, 200, &[])
        })
    };
    let (ours, theirs) = (rate(&servers[0])?, rate(&servers[1])?);
    Ok(row("manifest GET by tag, 64 clients (a second)".to_owned(), ours, theirs, 5.0))
}

fn tags(servers: &[Server; 2], many: usize) -> Result<Vec<Row>, String> {
    shell::say(&format!("{many} tags"));
    let mut puts = Vec::new();
    let mut lists = Vec::new();
    for server in servers {
        let manifest = image(server)?;
        let hour = Duration::from_secs(100);
        puts.push(load(&server.address, 8, true, many, hour, &|connection, number| {
            tag(connection, &manifest, &format!("v{number:05}"))
        })?);
        let listed = std::sync::Mutex::new(0);
        let rate = load(&server.address, 1, true, 20, Duration::from_secs(5), &|connection, _| {
            let found = list(connection)?;
            *listed.lock().map_err(|_poison| "a client ended by panic")? = found;
            Ok(())
        })?;
        // With `latest`.
        let found = listed.into_inner().unwrap_or(0);
        if found != many + 1 {
            return Err(format!("{} lists {found} tags of {}", server.name, many + 1));
        }
        lists.push(rate);
    }
    let pair = |list: &[f64]| match list {
        [ours, theirs] => Ok((*ours, *theirs)),
        _ => Err("a peer is missing".to_owned()),
    };
    let ((put, their_put), (ours, theirs)) = (pair(&puts)?, pair(&lists)?);
    Ok(vec![
        Row {
            bar: String::new(),
            met: None,
            ..row(
                format!("manifest PUT under {many} tags, 8 clients (a second)"),
                put,
                their_put,
                1.5,
            )
        },
        Row {
            ours: format!("{:.1}", 1000.0 / ours),
            peers: format!("docker-registry {:.1} (×{:.1})", 1000.0 / theirs, ours / theirs),
            bar: String::new(),
            met: None,
            ..row(format!("the whole list of {many} tags (ms)"), ours, theirs, 1.0)
        },
    ])
}

/// Reads all pages of a list of tags and counts them.
fn list(connection: &mut Connection) -> Result<usize, String> {
    let mut target = "/v2/bench/box/tags/list".to_owned();
    let mut found = 0;
    loop {
        let page = connection.ask("GET", &target, BYTES, &[], true)?;
        expect(page.status, 200, &page.body)?;
        let value: serde_json::Value =
            serde_json::from_slice(&page.body).map_err(|error| error.to_string())?;
        let tags = value.get("tags").and_then(serde_json::Value::as_array);
        found += tags.map_or(0, Vec::len);
        match page.link.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
            Some((next, _)) => next.clone_into(&mut target),
            None => return Ok(found),
        }
    }
}

fn memory(servers: &[Server; 2]) -> Result<Row, String> {
    let [ours, theirs] = [servers[0].take_peak(), servers[1].take_peak()];
    Ok(Row {
        what: "peak memory (PSS) over all of this".to_owned(),
        ours: format!("{:.1} MiB", ours as f64 / 1024.0),
        peers: format!(
            "docker-registry {:.1} MiB (×{:.1})",
            theirs as f64 / 1024.0,
            theirs as f64 / ours.max(1) as f64
        ),
        bar: String::new(),
        met: None,
    })
}
