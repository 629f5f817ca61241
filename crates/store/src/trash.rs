//! Removal of trees off the path of whoever asked.
//!
//! Acts. A thing that goes is renamed into the trash, which is one cheap step, and a thread of its own takes it
//! apart. What is left after a crash is taken apart at the next open.

use crate::StoreError;
use crate::schema::Layout;
use naru_kernel::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

enum Order {
    Remove(PathBuf),
    Do(Box<dyn FnOnce() + Send>),
    Tell(SyncSender<()>),
}

/// The trash and the thread that empties it.
#[derive(Debug)]
pub(crate) struct Trash {
    directory: PathBuf,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    next: AtomicU64,
}

impl Trash {
    /// Starts emptying what an earlier process left.
    pub(crate) fn open(layout: &Layout) -> io::Result<Trash> {
        let directory = layout.trash();
        let (orders, work) = channel();
        let mut next = 0;
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
            next = next.max(number.unwrap_or(0));
            drop(orders.send(Order::Remove(path)));
        }
        let thread = std::thread::Builder::new()
            .name("naru-trash".to_owned())
            .stack_size(256 << 10)
            .spawn(move || empty(&work))?;
        Ok(Trash {
            directory,
            orders: Some(orders),
            thread: Some(thread),
            next: AtomicU64::new(next + 1),
        })
    }

    /// Takes a thing out of its place at once and removes it soon. A missing thing is fine.
    pub(crate) fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let target = self.directory.join(number.to_string());
        match std::fs::rename(path, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StoreError::io("remove", path)(source)),
        }
        if let Some(orders) = &self.orders {
            drop(orders.send(Order::Remove(target)));
        }
        Ok(())
    }

    /// Does something off the path of whoever asks, after what was asked for before.
    pub(crate) fn later(&self, work: Box<dyn FnOnce() + Send>) {
        if let Some(orders) = &self.orders {
            drop(orders.send(Order::Do(work)));
        }
    }

    /// Waits until everything discarded so far is gone.
    pub(crate) fn settle(&self) {
        let (tell, told) = sync_channel(1);
        if let Some(orders) = &self.orders
            && orders.send(Order::Tell(tell)).is_ok()
        {
            // An emptier that died has nothing left to wait for.
            told.recv().unwrap_or_default();
        }
    }
}

fn empty(work: &Receiver<Order>) {
    while let Ok(order) = work.recv() {
        match order {
            Order::Remove(path) => {
                if let Err(error) = fs::remove_tree(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot empty the trash");
                }
            }
            Order::Do(work) => work(),
            Order::Tell(tell) => drop(tell.send(())),
        }
    }
}

impl Drop for Trash {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
