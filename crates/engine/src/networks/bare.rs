//! Acts: namespaces without a network, for containers that want none. A few are made ready, as for networks: what makes a
//! namespace is the kernel, and it takes its time.

use super::{Inner, Networks};
use naru_errdefs::Fault;
use naru_network::sandbox::{Sandbox, SandboxSpec};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many wait, once one was asked for.
const WAITING: usize = 2;

/// The namespaces without a network that are not a container's alone.
#[derive(Debug, Default)]
pub(super) struct Bare {
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    ready: VecDeque<Sandbox>,
    /// Of containers that are being started: their processes do not hold them yet.
    held: BTreeMap<String, Sandbox>,
    /// None are made for a daemon that ends.
    closed: bool,
}

impl Bare {
    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stock().ready.is_empty()
    }

    /// Gives up those that wait.
    pub(super) fn close(&self) {
        let mut stock = self.stock();
        stock.closed = true;
        let ready = std::mem::take(&mut stock.ready);
        drop(stock);
        drop(ready);
    }
}

impl Networks {
    /// A namespace without a network for a container, held until [`Networks::let_go_bare`]. May block.
    pub(crate) fn enter_bare(&self, id: &str) -> Result<PathBuf, Fault> {
        let ready = self.inner.bare.stock().ready.pop_front();
        let sandbox = match ready {
            Some(sandbox) => sandbox,
            None => make()?,
        };
        let path = sandbox.path();
        let (before, left) = {
            let mut stock = self.inner.bare.stock();
            (stock.held.insert(id.to_owned(), sandbox), stock.ready.len())
        };
        drop(before);
        self.inner.refill(left, Inner::fill_bare);
        Ok(path)
    }

    /// The process of the container is in its namespace, or the start has failed.
    pub(crate) fn let_go_bare(&self, id: &str) {
        let held = self.inner.bare.stock().held.remove(id);
        drop(held);
    }
}

impl Inner {
    fn fill_bare(&self) {
        loop {
            let stock = self.bare.stock();
            if stock.closed || stock.ready.len() >= WAITING {
                return;
            }
            drop(stock);
            match make() {
                Ok(sandbox) => {
                    let mut stock = self.bare.stock();
                    if stock.closed || stock.ready.len() >= WAITING {
                        return;
                    }
                    stock.ready.push_back(sandbox);
                }
                // Whoever needs one makes it, and is told.
                Err(fault) => {
                    tracing::debug!("cannot make a namespace ready: {}", fault.message());
                    return;
                }
            }
        }
    }
}

fn make() -> Result<Sandbox, Fault> {
    // Loopback is all there is, in both families.
    let spec = SandboxSpec { ipv6: true, low_ports: true, resolver: false };
    let (sandbox, _sockets) = Sandbox::make(&spec)?;
    Ok(sandbox)
}
