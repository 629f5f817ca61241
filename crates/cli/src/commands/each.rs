//! Acts: the same for each of several names, side by side, with one line for each that worked.

use crate::exit::{ExitStatus, Failed};
use crate::printer;
use futures_util::StreamExt;
use naru_errdefs::Fault;

/// How many are worked on at once.
const AT_ONCE: usize = 50;

/// Does something for each name; prints the name (or what comes back) for each that worked and tells why for each that
/// did not. The names keep their order.
pub(super) async fn each<'a, F>(
    names: &'a [String],
    act: impl Fn(&'a str) -> F,
) -> Result<ExitStatus, Failed>
where
    F: Future<Output = Result<String, Fault>>,
{
    let mut status = ExitStatus::SUCCESS;
    let mut results =
        futures_util::stream::iter(names.iter().map(|name| act(name))).buffered(AT_ONCE);
    while let Some(result) = results.next().await {
        match result {
            Ok(line) if line.is_empty() => {}
            Ok(line) => printer::out(&format!("{line}\n"))?,
            Err(fault) => {
                printer::report(&fault);
                status = ExitStatus::FAILURE;
            }
        }
    }
    Ok(status)
}
