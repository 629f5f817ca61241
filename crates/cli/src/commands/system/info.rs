//! Acts: `info`.

use super::version::templated;
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::units;
use naru_api_types::system::InfoResponse;
use serde_json::json;

pub(super) fn info(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let info = app.talk(async |client| Ok(client.info().await?))?;
    let text = match flags.text("format").filter(|format| !format.is_empty()) {
        Some(format) => {
            let mut value = json!(info);
            if let Some(map) = value.as_object_mut() {
                map.insert(
                    "ClientInfo".to_owned(),
                    json!({"Context": "default", "Debug": false, "Plugins": []}),
                );
            }
            templated(format, &value)?
        }
        None => show(&info),
    };
    printer::out(&text)?;
    for warning in info.warnings.iter().flatten() {
        printer::note(warning);
    }
    Ok(ExitStatus::SUCCESS)
}

/// Pure: what is known about the host, for people.
fn show(info: &InfoResponse) -> String {
    let mut text = format!(
        "Client:\n Version:    {}\n Context:    default\n\nServer:\n",
        env!("CARGO_PKG_VERSION")
    );
    let mut line = |depth: usize, name: &str, value: &str| {
        if !value.is_empty() {
            let blank = if value.starts_with('\n') { "" } else { " " };
            text.push_str(&format!("{:depth$}{name}:{blank}{value}\n", ""));
        }
    };
    let plugins = [
        ("Volume", &info.plugins.volume),
        ("Network", &info.plugins.network),
        ("Log", &info.plugins.log),
    ];
    let plugins: Vec<String> = plugins
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("\n  {kind}: {}", names.join(" ")))
        .collect();
    line(1, "Containers", &info.containers.to_string());
    line(2, "Running", &info.containers_running.to_string());
    line(2, "Paused", &info.containers_paused.to_string());
    line(2, "Stopped", &info.containers_stopped.to_string());
    line(1, "Images", &info.images.to_string());
    line(1, "Server Version", &info.server_version);
    line(1, "Storage Driver", &info.driver);
    for [name, value] in info.driver_status.iter().flatten() {
        line(2, name, value);
    }
    line(1, "Logging Driver", &info.logging_driver);
    line(1, "Cgroup Driver", &info.cgroup_driver);
    line(1, "Cgroup Version", &info.cgroup_version);
    line(1, "Plugins", &plugins.concat());
    line(1, "Runtimes", &info.runtimes.keys().cloned().collect::<Vec<_>>().join(" "));
    line(1, "Default Runtime", &info.default_runtime);
    line(1, "Security Options", &info.security_options.join(", "));
    line(1, "Kernel Version", &info.kernel_version);
    line(1, "Operating System", &info.operating_system);
    line(1, "OSType", &info.os_type);
    line(1, "Architecture", &info.architecture);
    line(1, "CPUs", &info.ncpu.to_string());
    line(1, "Total Memory", &units::bytes_size(units::as_float(info.mem_total)));
    line(1, "Name", &info.name);
    line(1, "ID", &info.id);
    line(1, "Docker Root Dir", &info.docker_root_dir);
    line(1, "Debug Mode", if info.debug { "true" } else { "false" });
    line(1, "HTTP Proxy", &info.http_proxy);
    line(1, "HTTPS Proxy", &info.https_proxy);
    line(1, "No Proxy", &info.no_proxy);
    line(1, "Labels", &info.labels.join(", "));
    let (insecure, mirrors) = registries(info);
    line(1, "Insecure Registries", &insecure);
    line(1, "Registry Mirrors", &mirrors);
    line(1, "Live Restore Enabled", if info.live_restore_enabled { "true" } else { "false" });
    text
}

/// Registries without TLS, and mirrors, a line each.
fn registries(info: &InfoResponse) -> (String, String) {
    let Some(config) = &info.registry_config else { return (String::new(), String::new()) };
    let insecure = config.index_configs.iter().filter(|(_, index)| index["Secure"] == false);
    let insecure = insecure.map(|(name, _)| name).chain(&config.insecure_registry_cidrs);
    let lines = |names: &mut dyn Iterator<Item = &String>| -> String {
        names.map(|name| format!("\n  {name}")).collect()
    };
    (lines(&mut { insecure }), lines(&mut config.mirrors.iter()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_api_types::system::Plugins;
    use naru_api_types::system::RegistryConfig;

    #[test]
    fn registries_are_listed() {
        let config = RegistryConfig {
            insecure_registry_cidrs: vec!["127.0.0.0/8".to_owned()],
            index_configs: [
                ("docker.io".to_owned(), json!({"Secure": true})),
                ("r:5000".to_owned(), json!({"Secure": false})),
            ]
            .into(),
            mirrors: vec!["https://m/".to_owned()],
        };
        let info = InfoResponse { registry_config: Some(config), ..InfoResponse::default() };
        let expected =
            " Insecure Registries:\n  r:5000\n  127.0.0.0/8\n Registry Mirrors:\n  https://m/\n";
        assert!(show(&info).contains(expected), "{}", show(&info));
    }

    #[test]
    fn plugins_are_listed_by_kind() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let plugins = Plugins {
            volume: words("local"),
            network: words("bridge host macvlan null"),
            ..Plugins::default()
        };
        let info =
            InfoResponse { plugins, cgroup_version: "1".to_owned(), ..InfoResponse::default() };
        let expected =
            " Cgroup Version: 1\n Plugins:\n  Volume: local\n  Network: bridge host macvlan null\n";
        assert!(show(&info).contains(expected), "{}", show(&info));
        assert!(!show(&InfoResponse::default()).contains("Plugins"));
    }
}
