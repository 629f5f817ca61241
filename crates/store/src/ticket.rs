//! The answer to a change that is on its way to the disk.
//!
//! Acts: a ticket is waited for by a thread or by a task, whichever the caller is.

use crate::StoreError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
struct Slot {
    answer: Option<Result<(), StoreError>>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    ready: Condvar,
}

/// Resolves when the change is durable, or says why it was refused. Dropping it does not take the change back.
#[derive(Debug)]
#[must_use = "a change is acknowledged only by its ticket"]
pub struct Ticket(Arc<Shared>);

/// The other end of a [`Ticket`].
#[derive(Debug)]
pub(crate) struct Answer(Arc<Shared>);

pub(crate) fn ticket() -> (Ticket, Answer) {
    let shared = Arc::new(Shared::default());
    (Ticket(Arc::clone(&shared)), Answer(shared))
}

impl Ticket {
    /// Waits on this thread.
    pub fn wait(self) -> Result<(), StoreError> {
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = slot.answer.take() {
                return answer;
            }
            slot = self.0.ready.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Answer {
    pub(crate) fn send(self, answer: Result<(), StoreError>) {
        self.put(answer);
    }

    fn put(&self, answer: Result<(), StoreError>) {
        let waker = {
            let mut slot = self.0.slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.answer.is_some() {
                return;
            }
            slot.answer = Some(answer);
            slot.waker.take()
        };
        self.0.ready.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Answer {
    /// A writer that dies answers everybody, or they would wait for ever.
    fn drop(&mut self) {
        // After an answer was sent and taken, nobody looks here again.
        self.put(Err(StoreError::Closed));
    }
}
