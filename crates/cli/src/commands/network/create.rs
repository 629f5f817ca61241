//! Acts: `network create`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::ipam::{self, Wanted};
use crate::opts::{OptError, env, mount};
use crate::printer;
use naru_api_types::Map;
use naru_api_types::network::{Ipam, NetworkCreateRequest};
use naru_errdefs::Fault;

pub(super) fn create(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let request = request(flags)?;
    let made = app.talk(async |client| Ok(client.create_network(&request).await?))?;
    if !made.warning.is_empty() {
        printer::note(&format!("WARNING: {}", made.warning));
    }
    printer::out(&format!("{}\n", made.id))?;
    Ok(ExitStatus::SUCCESS)
}

/// Pure: the flags as the request that the API takes.
pub(super) fn request(flags: &Flags) -> Result<NetworkCreateRequest, Failed> {
    let wanted = Wanted {
        subnets: words(flags, "subnet")?,
        ranges: words(flags, "ip-range")?,
        gateways: words(flags, "gateway")?,
        auxiliary: pairs(flags, "aux-address").into_iter().collect(),
    };
    let config = ipam::pools(&wanted).map_err(|error| Fault::invalid(error.message))?;
    let chosen = |long: &str| flags.given(long).then(|| flags.switch(long));
    let or = |long: &str, default: &str| flags.text(long).unwrap_or(default).to_owned();
    Ok(NetworkCreateRequest {
        name: flags.arg(0).to_owned(),
        driver: or("driver", "bridge"),
        enable_ipv4: chosen("ipv4"),
        enable_ipv6: chosen("ipv6"),
        ipam: Some(Ipam {
            driver: or("ipam-driver", "default"),
            options: Some(pairs(flags, "ipam-opt")),
            config,
        }),
        internal: flags.switch("internal"),
        attachable: flags.switch("attachable"),
        options: Some(pairs(flags, "opt")),
        labels: Some(flags.parsed_list("label", env::label)?.into_iter().collect()),
        ..NetworkCreateRequest::default()
    })
}

/// Every value of a flag that takes several between commas.
pub(super) fn words(flags: &Flags, long: &str) -> Result<Vec<String>, Failed> {
    let words = |text: &str| -> Result<Vec<String>, OptError> {
        if text.is_empty() { Ok(Vec::new()) } else { mount::csv(text) }
    };
    Ok(flags.parsed_list(long, words)?.into_iter().flatten().collect())
}

/// Keys and values; a key alone has an empty value, and the last value of a key counts.
fn pairs(flags: &Flags, long: &str) -> Map<String> {
    flags
        .list(long)
        .map(|text| text.split_once('=').unwrap_or((text, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
