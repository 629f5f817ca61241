//! Many networks and ports, what others do to ours behind our back, and what cannot be had. Acts: as root, on machines
//! that are played by network namespaces.

mod conflicts;
mod hostile;
mod many;

use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
