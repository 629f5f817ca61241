//! Acts: `system verify`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_api_types::system::VerifyFinding;
use naru_errdefs::{Fault, Kind};

pub(super) fn verify(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let repair = flags.switch("repair");
    app.talk(async |client| {
        let mut lines = client.verify(repair).await?;
        let (mut problems, mut repaired, mut checked) = (0_u64, 0_u64, None);
        while let Some(finding) = lines.next::<VerifyFinding>().await? {
            if let Some(error) = finding.error {
                return Err(Fault::new(Kind::Internal, error).into());
            }
            if let Some(count) = finding.checked {
                checked = Some(count);
                continue;
            }
            problems += 1;
            repaired += u64::from(finding.repaired);
            let done = if finding.repaired { " (repaired)" } else { "" };
            printer::out(&format!("{}: {}{done}\n", finding.subject, finding.problem))?;
        }
        let checked = checked.map(|count| format!("{count} objects checked, ")).unwrap_or_default();
        printer::out(&match problems {
            0 => format!("{checked}no problems found\n"),
            _ => format!("{checked}{problems} problems found, {repaired} repaired\n"),
        })?;
        if problems == repaired {
            return Ok(ExitStatus::SUCCESS);
        }
        let fault = Fault::new(Kind::DataLoss, format!("{} problems remain", problems - repaired));
        Err(if repair {
            fault.with_hint("load or import the images again that are damaged").into()
        } else {
            fault.with_hint("run `naru system verify --repair`").into()
        })
    })
}
