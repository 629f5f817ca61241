//! Acts: `version`.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::{template, units};
use naru_api_types::ApiVersion;
use naru_api_types::system::VersionResponse;
use naru_errdefs::Fault;
use serde_json::json;

pub(super) fn version(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    // The client's half is shown whether or not a daemon answers.
    let server = app.block(async { Ok(app.client().version().await) })?;
    let format = flags.text("format").filter(|format| !format.is_empty());
    let (text, fault) = match (format, server) {
        (None, Ok(server)) => (format!("{}\n{}", client_text(), server_text(&server)), None),
        (None, Err(fault)) => (client_text(), Some(fault)),
        (Some(format), server) => {
            let value = json!({
                "Client": client_json(),
                "Server": server.as_ref().ok().map(|server| json!(server)),
            });
            (templated(format, &value)?, server.err())
        }
    };
    printer::out(&text)?;
    match fault {
        None => Ok(ExitStatus::SUCCESS),
        Some(fault) => Err(fault.into()),
    }
}

/// A single thing, by a template or as JSON.
pub(super) fn templated(format: &str, value: &serde_json::Value) -> Result<String, Failed> {
    if format == "json" {
        return Ok(format!("{value}\n"));
    }
    let text = template::compile(format)
        .and_then(|template| template::render(&template, value))
        .map_err(|error| Fault::invalid(error.message))?;
    Ok(text + "\n")
}

fn client_json() -> serde_json::Value {
    json!({
        "Platform": {"Name": "Naru"},
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": ApiVersion::MAX.to_string(),
        "DefaultAPIVersion": ApiVersion::MAX.to_string(),
        "Os": std::env::consts::OS,
        "Arch": arch(),
        "Context": "default",
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
    })
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn client_text() -> String {
    format!(
        "Client: Naru\n Version:           {}\n API version:       {}\n OS/Arch:           {}/{}\n Context:           default\n",
        env!("CARGO_PKG_VERSION"),
        ApiVersion::MAX,
        std::env::consts::OS,
        arch()
    )
}

fn server_text(server: &VersionResponse) -> String {
    let mut text = format!(
        "Server: {}\n Engine:\n  Version:          {}\n  API version:      {} (minimum version {})\n  OS/Arch:          {}/{}\n  Kernel:           {}\n",
        server.platform.name,
        server.version,
        server.api_version,
        server.min_api_version,
        server.os,
        server.arch,
        server.kernel_version
    );
    if !server.build_time.is_empty() {
        text.push_str(&format!("  Built:            {}\n", units::ansic(&server.build_time)));
    }
    for component in server.components.iter().filter(|component| component.name != "Engine") {
        text.push_str(&format!(
            " {}:\n  Version:          {}\n",
            component.name, component.version
        ));
    }
    text
}
