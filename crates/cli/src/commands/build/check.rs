//! Acts: `build --check`: reads the Dockerfile here and says what a reviewer would; nothing is built.

use super::file;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use naru_errdefs::Fault;

pub(super) fn check(flags: &Flags) -> Result<ExitStatus, Failed> {
    let given = file::find(flags)?;
    let Some(_dockerfile) = given.dockerfile else {
        return Err(Fault::unsupported(
            "checking a Dockerfile inside an archive or at an address is not supported",
        )
        .with_hint(
            "name its directory, or pipe the Dockerfile in: `naru build --check - < Dockerfile`",
        )
        .into());
    };
    Err(Fault::unsupported("build checks are not supported yet").into())
}
