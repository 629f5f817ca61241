//! Acts: a connection on which the bytes of a mapped file are sent from the file.
//!
//! A body is handed on as pieces of memory, and memory has to be copied into the socket. Where the memory is a file's, the kernel
//! can send the page cache's own pages. So whoever makes a body of a mapped file says so here, and a write of a piece of it
//! becomes `sendfile`. What is written stays the same, byte for byte; nothing above or below has to know.
//!
//! What decides how fast somebody on the same machine gets them was measured (Zen 3, Linux 6.18, loopback, 2 processors):
//!
//! - Little may wait in the kernel: with 16 KiB unsent a reader copies pages that are in the processor's caches, and with
//!   megabytes (the default) it waits for memory, and gets half or less.
//! - `rep movsb`, by which the kernel copies to a reader, is four times slower where the reader's memory begins 1 to 63 bytes
//!   after the source within a page. A page of a file begins at 0, and a large piece of memory of `malloc` at 16. So pieces begin
//!   and end in the middle of a page, where a reader that waits for the next one begins to read; and the head of an answer
//!   never leaves without the first of its body: whoever reads both at once into whole pages is ever after shifted by the
//!   head's length.

use bytes::Bytes;
use naru_kernel::mapped::MappedFile;
use naru_kernel::splice::file_to_socket;
use naru_kernel::tcp::{limit_unsent, write_before_more};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How many bytes wait in the kernel for the network at most while files are sent: what is given to it is sent at once, so its
/// pages are still in the processor's caches when a reader on this machine copies them.
const UNSENT: u32 = 16 << 10;
/// Shorter parts are copied: that costs less than a call for themselves.
const SHORT: usize = 16 << 10;
/// The most that is sent at once: what `sendfile` moves in one go, which is 16 pages or parts of pages, and here both ends are
/// parts.
const PIECE: usize = 15 * PAGE;
const PAGE: usize = 4 << 10;
/// How many pieces are sent to a reader before others get their turn. Meanwhile it can read; it is woken once for them and not for
/// each, which with 64 readers on two processors is what costs most.
const BURST: u32 = 8;

/// The mapped files whose bytes are on their way through a listener's connections, by where they begin in memory. A cheap clone;
/// requests carry it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mappings(Arc<Mutex<BTreeMap<usize, Mapping>>>);

#[derive(Debug)]
struct Mapping {
    file: Arc<File>,
    length: usize,
}

/// A piece of memory that is a part of a file.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    offset: u64,
    length: usize,
}

impl Mappings {
    /// A mapped file's bytes, known as such until the last of them is gone.
    pub(crate) fn bytes(&self, mapped: MappedFile) -> Bytes {
        let memory = mapped.as_ref();
        let (start, length) = (memory.as_ptr().addr(), memory.len());
        self.list().insert(start, Mapping { file: Arc::clone(mapped.file()), length });
        Bytes::from_owner(Known { mapped, mappings: self.clone() })
    }

    /// The part of a file that these bytes are. They are borrowed from its mapping, so it is there still.
    fn part(&self, bytes: &[u8]) -> Option<Part> {
        if bytes.len() < SHORT {
            return None;
        }
        let at = bytes.as_ptr().addr();
        let list = self.list();
        let (start, mapping) = list.range(..=at).next_back()?;
        let offset = at - start;
        let is_within = mapping.length.checked_sub(offset).is_some_and(|left| left >= bytes.len());
        is_within.then(|| Part {
            file: Arc::clone(&mapping.file),
            offset: offset as u64,
            length: bytes.len(),
        })
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<usize, Mapping>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pure: how many bytes from `offset` on are sent at once, of so many that are left.
fn piece(offset: u64, left: usize) -> usize {
    if left <= PIECE {
        return left;
    }
    let within = usize::try_from(offset % PAGE as u64).unwrap_or(0);
    // From the middle of a page to the middle of another.
    PIECE - (within + PAGE / 2) % PAGE
}

/// A mapped file that is on a list.
struct Known {
    mapped: MappedFile,
    mappings: Mappings,
}

impl AsRef<[u8]> for Known {
    fn as_ref(&self) -> &[u8] {
        self.mapped.as_ref()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // Before it is unmapped: nothing else can lie there as long as it is on the list.
        self.mappings.list().remove(&self.mapped.as_ref().as_ptr().addr());
    }
}

/// A connection whose writes of mapped bytes are sent from their files.
pub(super) struct Straight {
    stream: TcpStream,
    mappings: Mappings,
    /// Whether the connection takes only what is about to be sent.
    tight: bool,
    /// How many pieces were sent since others had their turn.
    burst: u32,
}

impl Straight {
    pub(super) fn new(stream: TcpStream, mappings: Mappings) -> Straight {
        Straight { stream, mappings, tight: false, burst: 0 }
    }

    /// From the first file on, little waits in the kernel.
    fn tighten(&mut self) {
        if !self.tight {
            self.tight = true;
            // Only for speed: without it everything is sent as well.
            limit_unsent(&self.stream, UNSENT).ok();
        }
    }

    /// Writes what comes before a part: it leaves together with that.
    fn head(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tighten();
        self.written(context, |stream| write_before_more(stream, slices))
    }

    fn send(&mut self, context: &mut Context<'_>, part: &Part) -> Poll<io::Result<usize>> {
        self.tighten();
        if self.burst == BURST {
            self.burst = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.burst += 1;
        let length = piece(part.offset, part.length);
        let sent = ready!(self.written(context, |stream| {
            file_to_socket(&part.file, part.offset, stream, length)
        }))?;
        // The file is shorter than its mapping.
        Poll::Ready(if sent == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(sent) })
    }

    /// Does a write as soon as there is room for it.
    fn written(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_io(Interest::WRITABLE, || write(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Straight {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Straight {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.mappings.part(bytes) {
            Some(part) => self.send(context, &part),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices
            .iter()
            .enumerate()
            .find_map(|(at, slice)| Some((at, self.mappings.part(slice)?)));
        match first {
            Some((0, part)) => self.send(context, &part),
            // What comes before it goes first.
            Some((at, _)) => self.head(context, slices.get(..at).unwrap_or_default()),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::tests::start;
    use naru_store::{Batch, Member};
    use std::io::Write as _;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn mapped(bytes: &[u8]) -> MappedFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        MappedFile::of_unchanging(file.reopen().unwrap()).unwrap()
    }

    #[test]
    fn pieces_are_found_in_their_file_as_long_as_they_are_there() {
        let mappings = Mappings::default();
        let first = mappings.bytes(mapped(&vec![1; 5 * SHORT]));
        let second = mappings.bytes(mapped(&vec![2; 3 * SHORT]));
        let part = mappings.part(&second.slice(SHORT + 1..2 * SHORT + 1)).unwrap();
        assert_eq!((part.offset, part.length), (SHORT as u64 + 1, SHORT));
        let part = mappings.part(&first).unwrap();
        assert_eq!((part.offset, part.length), (0, 5 * SHORT));
        assert!(mappings.part(&first.slice(1..SHORT)).is_none(), "too short to be worth a call");
        assert!(mappings.part(&vec![1; 2 * SHORT]).is_none(), "memory of somebody else");
        let rest = first.slice(4 * SHORT..);
        drop(first);
        assert!(mappings.part(&rest).is_some(), "a piece of it is still there");
        drop(rest);
        assert_eq!(mappings.list().len(), 1);
        drop(second);
        assert!(mappings.list().is_empty());
    }

    #[test]
    fn pieces_end_in_the_middle_of_a_page() {
        for (offset, left, expected) in [
            (0, 1 << 20, PIECE - 2048),
            (2048, 1 << 20, PIECE),
            (2049, 1 << 20, PIECE - 1),
            (2047, 1 << 20, PIECE - 4095),
            (4095, 1 << 20, PIECE - 2047),
            (0, PIECE, PIECE),
            (5 << 32, 7, 7),
        ] {
            let length = piece(offset, left);
            assert_eq!(length, expected, "{offset} {left}");
            let end = (offset + length as u64) % PAGE as u64;
            assert!(length == left || end == PAGE as u64 / 2, "{offset} {left} ends at {end}");
        }
    }

    /// Answers of a connection: the body of each.
    async fn bodies(stream: &mut TcpStream, count: usize) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        for _ in 0..count {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            bodies.push(body);
        }
        bodies
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn blobs_and_parts_of_them_arrive_as_they_are() {
        let served = start(|_, _| {}).await;
        let store = served.store();
        let lease = store.leases.create(Duration::from_secs(60));
        let bytes: Vec<u8> = (0..9_000_011_u32).map(|number| (number % 251) as u8).collect();
        let blob = store.content.put(lease.id(), &bytes).unwrap();
        let mut batch = Batch::new();
        batch.put_member("a/b", &blob.digest, &Member::blob(blob.size));
        store.commit(batch).unwrap();
        let target = format!("GET /v2/a/b/blobs/{} HTTP/1.1\r\nHost: x\r\n", blob.digest);
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (target, bytes, address) = (target.clone(), bytes.clone(), served.address());
            readers.spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                // Three at once: whole, from within on, and a few in the middle.
                let asked = format!(
                    "{target}\r\n{target}Range: bytes=4000001-\r\n\r\n{target}Range: bytes=70001-400001\r\n\r\n"
                );
                stream.write_all(asked.as_bytes()).await.unwrap();
                let got = bodies(&mut stream, 3).await;
                assert!(got[0] == bytes && got[1] == bytes[4_000_001..]);
                assert!(got[2] == bytes[70_001..=400_001]);
                // Somebody who goes away in the middle.
                stream.write_all(format!("{target}\r\n").as_bytes()).await.unwrap();
                stream.read_u8().await.unwrap();
            });
        }
        readers.join_all().await;
        // One after another on the same connection.
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        for _ in 0..12 {
            stream.write_all(format!("{target}\r\n").as_bytes()).await.unwrap();
            assert!(bodies(&mut stream, 1).await[0] == bytes);
        }
        served.end().await;
    }
}
