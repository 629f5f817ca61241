//! Real containers out of a tiny root, looked at from inside. Acts; needs root.

mod fixture;

mod basics;
mod escapes;
mod processes;
mod speed;
mod surroundings;
