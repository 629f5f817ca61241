//! How long a launch takes. Acts.

use crate::fixture::{Fixture, follow, pipes};
use serde_json::json;
use std::time::{Duration, Instant};

/// The whole launch with overlay, default mounts and masks, until the command runs, and until it is reaped. The bound is
/// for a busy machine; the figures are printed.
#[test]
fn a_launch_takes_milliseconds() {
    let fixture = Fixture::new("").set("/process/args", json!(["/bin/true"]));
    let (mut starts, mut wholes) = (Vec::new(), Vec::new());
    let plan = fixture.plan().unwrap();
    for _ in 0..40 {
        drop(std::fs::remove_dir_all(fixture.incompat()));
        let (stdio, outputs) = pipes();
        let begin = Instant::now();
        let mut launching = naru_runtime::launch(&plan, Some(stdio)).unwrap();
        follow(&mut launching).unwrap();
        starts.push(begin.elapsed());
        drop(outputs);
        let (_, pidfd, _) = launching.into_parts();
        assert_eq!(naru_kernel::reap::wait(&pidfd).unwrap(), 0);
        wholes.push(begin.elapsed());
    }
    let (start, whole) = (median(starts), median(wholes));
    println!("until the command runs: {start:?}; until it is reaped: {whole:?}");
    assert!(start < Duration::from_millis(60), "{start:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
