//! Acts: a bound on bytes a second, shared by everything that takes from it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A token bucket that holds a fifth of a second's worth.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: u64,
    /// When everything that was taken so far is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Limiter {
    /// A bound of `rate` bytes a second.
    pub(crate) fn new(rate: u64) -> Limiter {
        Limiter { rate: rate.max(1), paid: Mutex::new(None) }
    }

    /// The largest piece that is worth waiting for at once: a tenth of a second's worth.
    pub(crate) fn piece(&self) -> u64 {
        (self.rate / 10).max(1)
    }

    /// How long to wait after having taken these bytes.
    fn take(&self, bytes: usize, now: Instant) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let from = paid.filter(|paid| *paid > now).unwrap_or(now);
        let until = from + cost;
        *paid = Some(until);
        until.duration_since(now).saturating_sub(Duration::from_millis(200))
    }

    /// Takes bytes, and waits until they are paid for.
    pub(crate) async fn pass(&self, bytes: usize) {
        let wait = self.take(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cost_time_beyond_a_short_burst() {
        let limiter = Limiter::new(1000);
        let now = Instant::now();
        assert_eq!(limiter.take(100, now), Duration::ZERO);
        assert_eq!(limiter.take(100, now), Duration::ZERO);
        assert_eq!(limiter.take(1000, now), Duration::from_secs(1));
        assert_eq!(limiter.take(0, now + Duration::from_secs(5)), Duration::ZERO);
    }
}
