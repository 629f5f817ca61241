//! Acts: the service of images.

/// The service of images.
#[derive(Debug, Clone)]
pub struct Images {}
