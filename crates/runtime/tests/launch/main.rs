//! Real containers out of a tiny root, looked at from inside. Acts; needs root.

#![expect(clippy::disallowed_methods, reason = "files of a test need not be written at once")]

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod basics;
#[cfg(test)]
mod confined;
#[cfg(test)]
mod escapes;
#[cfg(test)]
mod filters;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod surroundings;
