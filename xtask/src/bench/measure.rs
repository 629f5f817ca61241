//! Timing commands, interleaved so that noise hits every peer alike. Acts.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The times of one thing measured, sorted.
#[derive(Debug, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Pure: sorts what was measured.
    pub fn new(mut times: Vec<Duration>) -> Times {
        times.sort();
        Times(times)
    }

    /// The middle one, in milliseconds.
    pub fn median(&self) -> f64 {
        self.at(self.0.len() / 2)
    }

    /// The one that 95 of 100 do not exceed, in milliseconds.
    pub fn p95(&self) -> f64 {
        self.at(self.0.len() * 95 / 100)
    }

    fn at(&self, index: usize) -> f64 {
        self.0.get(index).or(self.0.last()).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }
}

/// Pure: the middle one of figures.
pub fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A command to be timed, made anew each round.
pub type Make<'a> = Box<dyn Fn() -> Command + 'a>;

/// Runs every command once a round, in turn; each must succeed.
pub fn interleaved(rounds: usize, subjects: &[(&str, Make<'_>)]) -> Result<Vec<Times>, String> {
    let mut times = vec![Vec::new(); subjects.len()];
    // The first round warms caches and is not counted.
    for round in 0..=rounds {
        for (list, (name, make)) in times.iter_mut().zip(subjects) {
            let time = timed(&mut make()).map_err(|error| format!("{name}: {error}"))?;
            if round > 0 {
                list.push(time);
            }
        }
    }
    Ok(times.into_iter().map(Times::new).collect())
}

/// Runs a command to its end and says how long it took.
pub fn timed(command: &mut Command) -> Result<Duration, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let time = start.elapsed();
    if output.status.success() {
        return Ok(time);
    }
    Err(format!(
        "{command:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}
