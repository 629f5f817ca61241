//! Pure: why a spec cannot become a plan.

use naru_errdefs::{Failure, Kind};

/// A spec cannot become a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Something the spec must have.
    #[error("the spec has no `{field}`")]
    Missing {
        /// The field, as the spec calls it.
        field: &'static str,
    },
    /// Something the spec says cannot be.
    #[error("`{field}` of the spec is wrong: {why}")]
    Invalid {
        /// The field, as the spec calls it.
        field: &'static str,
        /// What is wrong with which value.
        why: String,
    },
    /// Something this runtime does not do.
    #[error("`{field}` of the spec is not supported: {why}")]
    Unsupported {
        /// The field, as the spec calls it.
        field: &'static str,
        /// What exactly, and what to do instead.
        why: String,
    },
}

impl PlanError {
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> PlanError {
        PlanError::Invalid { field, why: why.into() }
    }

    pub(crate) fn unsupported(field: &'static str, why: impl Into<String>) -> PlanError {
        PlanError::Unsupported { field, why: why.into() }
    }
}

impl Failure for PlanError {
    fn kind(&self) -> Kind {
        match self {
            PlanError::Missing { .. } | PlanError::Invalid { .. } => Kind::InvalidInput,
            PlanError::Unsupported { .. } => Kind::Unsupported,
        }
    }
}
