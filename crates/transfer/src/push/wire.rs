//! Acts: the way to a repository that may be written, over the wire that pulls use.

use super::exchange::Exchange;
use crate::remote::{PushRequest, Registries};
use naru_errdefs::Fault;

impl Registries {
    /// Blobs that are uploaded side by side.
    pub(crate) fn uploads(&self) -> usize {
        match self.config().uploads {
            0 => 5,
            uploads => uploads,
        }
    }

    /// Attempts in a row that may fail.
    pub(crate) fn attempts(&self) -> u32 {
        match self.config().attempts {
            0 => 5,
            attempts => attempts,
        }
    }

    /// The way to the repository that a push means.
    pub(crate) async fn pusher(&self, request: &PushRequest) -> Result<Box<dyn Exchange>, Fault> {
        Err(Fault::unsupported(format!("cannot push `{}` yet", request.reference.familiar())))
    }
}
