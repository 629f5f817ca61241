//! Acts: one run for however many ask for the same at once.

use super::CacheError;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use naru_errdefs::Kind;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Running<T> = Shared<BoxFuture<'static, Result<T, CacheError>>>;

/// What runs now, by what it is for. A run is a task of its own: whoever began it may go, the others get their answer.
#[derive(Debug)]
pub(super) struct Flights<T: Clone> {
    running: Mutex<BTreeMap<String, Running<T>>>,
}

impl<T: Clone> Default for Flights<T> {
    fn default() -> Flights<T> {
        Flights { running: Mutex::default() }
    }
}

/// Takes the entry away also when the run panics.
struct Landing<T: Clone + Send + Sync + 'static> {
    flights: Arc<Flights<T>>,
    key: String,
}

impl<T: Clone + Send + Sync + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl<T: Clone> Flights<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Running<T>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// The answer of the run for `key`: of the one that is on its way, or of one that is begun now.
    pub(super) async fn join<F>(
        self: &Arc<Self>,
        key: String,
        begin: impl FnOnce() -> F,
    ) -> Result<T, CacheError>
    where
        F: Future<Output = Result<T, CacheError>> + Send + 'static,
    {
        let running = {
            let mut running = self.lock();
            match running.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let landing = Landing { flights: Arc::clone(self), key: key.clone() };
                    let run = begin();
                    // It cannot land before it is entered: landing needs the lock.
                    let task = tokio::spawn(async move {
                        let _landing = landing;
                        run.await
                    });
                    let flight = async move {
                        task.await.unwrap_or_else(|error| {
                            Err(CacheError::new(Kind::Internal, format!("a fetch failed: {error}")))
                        })
                    }
                    .boxed()
                    .shared();
                    running.insert(key, flight.clone());
                    flight
                }
            }
        };
        running.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_run_and_the_next_begins_another() {
        let (flights, runs) =
            (Arc::new(Flights::<usize>::default()), Arc::new(AtomicUsize::new(0)));
        let go = Arc::new(Notify::new());
        let ask = || {
            let (flights, runs, go) = (Arc::clone(&flights), Arc::clone(&runs), Arc::clone(&go));
            async move {
                let run = move || async move {
                    go.notified().await;
                    Ok(runs.fetch_add(1, Ordering::SeqCst))
                };
                flights.join("k".to_owned(), run).await
            }
        };
        // The first one goes away before there is an answer.
        assert!(ask().now_or_never().is_none());
        let many: Vec<_> = (0..50).map(|_| tokio::spawn(ask())).collect();
        tokio::task::yield_now().await;
        go.notify_one();
        for one in many {
            assert_eq!(one.await.unwrap(), Ok(0));
        }
        go.notify_one();
        assert_eq!(ask().await, Ok(1));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_run_that_panics_is_a_failure_and_leaves_nothing() {
        let flights = Arc::new(Flights::<()>::default());
        let error = flights.join("k".to_owned(), || async { panic!("on purpose") }).await;
        assert_eq!(naru_errdefs::Failure::kind(&error.unwrap_err()), Kind::Internal);
        assert!(flights.lock().is_empty());
    }
}
