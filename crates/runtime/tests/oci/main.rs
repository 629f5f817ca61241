//! The OCI runtime command line, driven as engines drive it. Acts; needs root.

#![expect(clippy::disallowed_methods, reason = "files of a test need not be written at once")]

#[cfg(test)]
mod bundle;

#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod podman;
#[cfg(test)]
mod protection;
