//! Acts: `network connect` and `network disconnect`.

use super::create::words;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::opts::network;
use naru_api_types::Map;
use naru_api_types::container::{EndpointIpam, EndpointSettings};
use naru_api_types::network::{NetworkConnectRequest, NetworkDisconnectRequest};
use naru_errdefs::Fault;

pub(super) fn connect(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let request = request(flags)?;
    app.talk(async |client| {
        client.connect_network(flags.arg(0), &request).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// Pure: the flags as the request that the API takes.
pub(super) fn request(flags: &Flags) -> Result<NetworkConnectRequest, Failed> {
    let text = |long: &str| flags.text(long).unwrap_or_default().to_owned();
    let mut driver_opts = Map::new();
    for option in words(flags, "driver-opt")? {
        let complaint = "invalid key/value pair format in driver options";
        let (key, value) = network::driver_opt(&option, complaint)
            .map_err(|error| Fault::invalid(error.message))?;
        driver_opts.insert(key, value);
    }
    let links = flags.parsed_list("link", network::link)?;
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpam {
            ipv4_address: text("ip"),
            ipv6_address: text("ip6"),
            link_local_ips: words(flags, "link-local-ip")?,
        }),
        links: (!links.is_empty()).then_some(links),
        aliases: Some(words(flags, "alias")?),
        driver_opts: Some(driver_opts),
        gw_priority: flags.number("gw-priority")?.unwrap_or(0),
        ..EndpointSettings::default()
    };
    Ok(NetworkConnectRequest {
        container: flags.arg(1).to_owned(),
        endpoint_config: Some(endpoint),
    })
}

pub(super) fn disconnect(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let request = NetworkDisconnectRequest {
        container: flags.arg(1).to_owned(),
        force: flags.switch("force"),
    };
    app.talk(async |client| {
        client.disconnect_network(flags.arg(0), &request).await?;
        Ok(ExitStatus::SUCCESS)
    })
}
