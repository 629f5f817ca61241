//! The handle of the resolver's thread.
//!
//! Acts: starts the thread with the first container, hands it sockets, ends it.

use super::Names;
use super::server::Server;
use rustix::event::EventfdFlags;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Serve(Arc<str>, UdpSocket, TcpListener),
    Leave(Arc<str>),
    Stop,
}

/// Orders that the thread has not seen yet.
#[derive(Debug)]
pub(super) struct Mailbox {
    orders: Mutex<Vec<Order>>,
    bell: OwnedFd,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Mailbox> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Mailbox { orders: Mutex::default(), bell: rustix::event::eventfd(0, flags)? })
    }

    /// Readable when there are orders.
    pub(super) fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    /// Takes all orders and silences the bell.
    pub(super) fn take(&self) -> Vec<Order> {
        let mut count = [0; 8];
        // Nothing to read means that it does not ring.
        rustix::io::read(&self.bell, &mut count).ok();
        std::mem::take(&mut *self.lock())
    }

    fn put(&self, order: Order) {
        self.lock().push(order);
        // It fails only when it rings already for 2^64 - 2 orders.
        rustix::io::write(&self.bell, &1_u64.to_ne_bytes()).ok();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Running {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<()>,
}

/// Answers the questions of containers, from its first [`Resolver::serve`] until it is dropped.
pub struct Resolver {
    names: Arc<dyn Names>,
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Resolver").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Serves nobody yet, and has no thread.
    ///
    /// Whoever owns the resolver must not be owned by `names`, or neither ever ends: let `names` hold the tables alone,
    /// or a [`std::sync::Weak`].
    pub fn new(names: Arc<dyn Names>) -> Resolver {
        Resolver { names, running: Mutex::default() }
    }

    /// Answers what comes to these sockets, which are bound inside the network namespace of the container `id`. Sockets
    /// that it had before are closed.
    ///
    /// The first call starts the thread, in the network namespace of its caller, from which upstream servers are asked.
    /// So it is refused to a thread that is away in another one than the process.
    pub fn serve(&self, id: &str, udp: UdpSocket, tcp: TcpListener) -> io::Result<()> {
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mailbox = match running.as_ref() {
            Some(running) if running.thread.is_finished() => {
                return Err(io::Error::other("the resolver's thread has ended before its time"));
            }
            Some(running) => &running.mailbox,
            None => &running.insert(self.start()?).mailbox,
        };
        mailbox.put(Order::Serve(id.into(), udp, tcp));
        Ok(())
    }

    /// Closes the sockets of a container and forgets its questions. It returns before the thread has done so, because
    /// the thread may be asking the caller's tables of names at this moment.
    pub fn leave(&self, id: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref() {
            running.mailbox.put(Order::Leave(id.into()));
        }
    }

    fn start(&self) -> io::Result<Running> {
        if std::fs::read_link("/proc/thread-self/ns/net")?
            != std::fs::read_link("/proc/self/ns/net")?
        {
            return Err(io::Error::other(
                "cannot start the resolver from a thread that is in a network namespace of its own",
            ));
        }
        let mailbox = Arc::new(Mailbox::new()?);
        let server = Server::new(Arc::clone(&mailbox), Arc::clone(&self.names))?;
        let thread = std::thread::Builder::new().name("dns".into()).spawn(|| server.run())?;
        Ok(Running { mailbox, thread })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        running.mailbox.put(Order::Stop);
        // The last owner may be the thread itself, through a call of `Names`.
        if running.thread.thread().id() != std::thread::current().id()
            && running.thread.join().is_err()
        {
            tracing::error!("the resolver's thread ended by a panic");
        }
    }
}
