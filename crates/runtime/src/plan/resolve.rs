//! Pure: the spec as a whole to the plan as a whole.

use super::{Host, Plan, PlanError, PlanOptions};
use naru_oci::runtime::Spec;

/// Resolves a spec against the host.
pub fn plan(spec: &Spec, options: &PlanOptions, host: &Host) -> Result<Plan, PlanError> {
    let _ = (spec, options, host);
    Err(PlanError::Missing { field: "process" })
}
