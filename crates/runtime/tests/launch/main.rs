//! Real containers out of a tiny root, looked at from inside. Acts; needs root.

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod basics;
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
