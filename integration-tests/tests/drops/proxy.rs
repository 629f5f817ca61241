//! A wire that breaks: a TCP proxy that forwards, counts what it forwards, and cuts connections at random points.
//!
//! Acts: listens on loopback of the network namespace of the thread that makes it.

use crate::random::Random;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_linger, set_socket_send_buffer_size};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Forwarded at once.
const CHUNK: usize = 16 << 10;
/// The kernel doubles it. What is in there when a connection is reset has been counted and does not arrive.
const SEND_BUFFER: usize = 16 << 10;
/// Bytes that one reset may swallow on their way: the send buffer, and the piece that was just written.
pub const SWALLOWED: u64 = (2 * SEND_BUFFER + CHUNK) as u64;
/// One connection in so many is not closed but reset.
const RESETS: u64 = 4;

/// What it does to connections.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// So many connections are cut.
    pub cuts: u64,
    /// After at most so many bytes, in either direction.
    pub most: u64,
    /// Bytes a second, all connections together.
    pub rate: Option<u64>,
}

/// What went through.
#[derive(Debug, Default)]
pub struct Seen {
    /// From the client to the server.
    pub up: AtomicU64,
    /// From the server to the client.
    pub down: AtomicU64,
    /// Connections.
    pub connections: AtomicU64,
    /// Connections that were cut.
    pub cuts: AtomicU64,
    /// How many of those were reset.
    pub resets: AtomicU64,
}

impl Seen {
    pub fn get(count: &AtomicU64) -> u64 {
        count.load(Ordering::SeqCst)
    }
}

struct Shared {
    target: SocketAddr,
    manner: Manner,
    seen: Arc<Seen>,
    random: Mutex<Random>,
    /// When everything that was forwarded so far is paid for.
    paid: Mutex<Instant>,
    over: AtomicBool,
}

/// The proxy; it ends with the test.
pub struct Proxy {
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens at `address` for what is meant for `target`.
    pub fn start(address: SocketAddr, target: SocketAddr, manner: Manner, random: Random) -> Proxy {
        let listener = TcpListener::bind(address).expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let shared = Arc::new(Shared {
            target,
            manner,
            seen: Arc::default(),
            random: Mutex::new(random),
            paid: Mutex::new(Instant::now()),
            over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        // Threads that it starts are in the same network namespace.
        let listening = std::thread::spawn(move || listen(&listener, &own));
        Proxy { shared, listening: Some(listening) }
    }

    /// What went through so far.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.shared.seen)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut running = Vec::new();
    while !shared.over.load(Ordering::SeqCst) {
        wait(&[PollFd::new(listener, PollFlags::IN)]);
        let Ok((client, _)) = listener.accept() else { continue };
        let own = Arc::clone(shared);
        running.push(std::thread::spawn(move || {
            // A connection that breaks is what this is about.
            drop(Connection::open(client, &own).map(|connection| connection.forward(&own)));
        }));
        running.retain(|thread| !thread.is_finished());
    }
    for thread in running {
        drop(thread.join());
    }
}

/// Waits for one of them, for a moment. Says which are ready.
fn wait(files: &[PollFd<'_>]) -> Vec<bool> {
    let mut files = files.to_vec();
    let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    poll(&mut files, Some(&moment)).ok();
    files.iter().map(|file| !file.revents().is_empty()).collect()
}

struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Bytes until it is cut, and whether by a reset.
    cut: Option<(u64, bool)>,
}

impl Connection {
    fn open(client: TcpStream, shared: &Shared) -> std::io::Result<Connection> {
        let seen = &shared.seen;
        seen.connections.fetch_add(1, Ordering::SeqCst);
        // While the server is away, its clients are turned away, too.
        let server = TcpStream::connect(shared.target)?;
        client.set_nonblocking(false)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(Duration::from_secs(20)))?;
            set_socket_send_buffer_size(stream, SEND_BUFFER)?;
        }
        let wanted = Seen::get(&seen.cuts) < shared.manner.cuts;
        let mut random = shared.random.lock().expect("no thread panics");
        let cut = wanted.then(|| (random.below(shared.manner.most), random.below(RESETS) == 0));
        Ok(Connection { client, server, cut })
    }

    /// Forwards until either side ends or the moment to cut has come.
    fn forward(mut self, shared: &Shared) {
        let seen = &shared.seen;
        let mut piece = vec![0; CHUNK];
        while !shared.over.load(Ordering::SeqCst) {
            let ready = wait(&[
                PollFd::new(&self.client, PollFlags::IN),
                PollFd::new(&self.server, PollFlags::IN),
            ]);
            for (side, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
                let (from, to, count) = match side {
                    0 => (&mut self.client, &mut self.server, &seen.up),
                    _ => (&mut self.server, &mut self.client, &seen.down),
                };
                let most = self.cut.map_or(CHUNK, |(left, _)| CHUNK.min(left as usize));
                // Cut at the first byte, too: it comes, and goes nowhere.
                let read = match from.read(&mut piece[..most.max(1)]) {
                    Ok(0) => return,
                    Ok(read) => read.min(most),
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
                if to.write_all(&piece[..read]).is_err() {
                    return;
                }
                count.fetch_add(read as u64, Ordering::SeqCst);
                if let Some((left, reset)) = &mut self.cut {
                    *left -= read as u64;
                    if *left == 0 {
                        seen.cuts.fetch_add(1, Ordering::SeqCst);
                        if *reset {
                            seen.resets.fetch_add(1, Ordering::SeqCst);
                            for stream in [&self.client, &self.server] {
                                set_socket_linger(stream, Some(Duration::ZERO)).ok();
                            }
                        }
                        return;
                    }
                }
                shared.pay(read);
            }
        }
    }
}

impl Shared {
    /// Waits until these bytes are paid for.
    fn pay(&self, bytes: usize) {
        let Some(rate) = self.manner.rate else { return };
        let until = {
            let mut paid = self.paid.lock().expect("no thread panics");
            let cost = Duration::from_secs_f64(bytes as f64 / rate as f64);
            *paid = (*paid).max(Instant::now()) + cost;
            *paid
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}
