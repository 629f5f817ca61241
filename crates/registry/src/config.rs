//! What the registry is told: one JSON file, or the field `registry` of the daemon's. Pure.

mod period;

pub use period::Period;
