//! Pure: values to text, the way docker's users and scripts expect it.

pub mod build;
pub mod json;
pub mod natural;
pub mod progress;
pub mod table;
pub mod template;
pub mod units;
