//! Pure: fields of requests that are understood but not served. Each is refused by its name, with what to do instead:
//! a container that silently lacks what was asked for is worse than none.

use naru_api_types::container::EndpointSettings;
use naru_api_types::network::{Ipam, IpamPool, NetworkCreateRequest};
use naru_errdefs::Fault;
use serde_json::{Map, Value};

/// A field that is not served, and why.
type Row = (&'static str, &'static str);

const OTHER_OS: &str = "it means something on another operating system only";

/// Fields of the configuration itself.
const CONFIG: &[Row] =
    &[("ArgsEscaped", OTHER_OS), ("OnBuild", "it belongs to images, not to containers")];

/// Fields of `HostConfig`.
const HOST: &[Row] = &[
    ("Cgroup", "use `CgroupParent`"),
    (
        "StorageOpt",
        "sizes of single containers are not limited; use a tmpfs with a size for scratch data",
    ),
    ("DeviceRequests", "name the device files with `Devices`"),
    ("KernelMemory", "kernels have no such limit any more; use `Memory`"),
    ("KernelMemoryTCP", "kernels have no such limit any more; use `Memory`"),
    ("CpuCount", OTHER_OS),
    ("CpuPercent", OTHER_OS),
    ("IOMaximumIOps", OTHER_OS),
    ("IOMaximumBandwidth", OTHER_OS),
];

const KNOWN_CONFIG: &[&str] = &[
    "Hostname",
    "MacAddress",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "HostConfig",
    "NetworkingConfig",
];

const KNOWN_HOST: &[&str] = &[
    "Binds",
    "ContainerIDFile",
    "LogConfig",
    "NetworkMode",
    "PortBindings",
    "PublishAllPorts",
    "Links",
    "RestartPolicy",
    "AutoRemove",
    "ConsoleSize",
    "Annotations",
    "CapAdd",
    "CapDrop",
    "CgroupnsMode",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "IpcMode",
    "OomScoreAdj",
    "PidMode",
    "Privileged",
    "ReadonlyRootfs",
    "SecurityOpt",
    "Tmpfs",
    "UTSMode",
    "UsernsMode",
    "ShmSize",
    "Sysctls",
    "Runtime",
    "Isolation",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "CgroupParent",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "Devices",
    "DeviceCgroupRules",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Ulimits",
    "Mounts",
    "VolumeDriver",
    "VolumesFrom",
    "MaskedPaths",
    "ReadonlyPaths",
    "Init",
];

const KNOWN_UPDATE: &[&str] = &[
    "CpuShares",
    "Memory",
    "NanoCpus",
    "BlkioWeight",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "MemoryReservation",
    "MemorySwap",
    "PidsLimit",
    "RestartPolicy",
];

/// Refuses what a create request asks for and no container could have.
pub(crate) fn create(body: &Value) -> Result<(), Fault> {
    let Value::Object(body) = body else {
        return Err(Fault::invalid("invalid JSON: the request body is not an object"));
    };
    fields("", body, KNOWN_CONFIG, CONFIG)?;
    for name in ["HostConfig", "NetworkingConfig"] {
        if body.get(name).is_some_and(|value| !value.is_object() && !value.is_null()) {
            return Err(Fault::invalid(format!("invalid JSON in `{name}`: it is not an object")));
        }
    }
    if let Some(Value::Object(host)) = body.get("HostConfig") {
        fields("HostConfig.", host, KNOWN_HOST, HOST)?;
    }
    if let Some(Value::Object(networking)) = body.get("NetworkingConfig") {
        fields("NetworkingConfig.", networking, &["EndpointsConfig"], &[])?;
        if let Some(Value::Object(endpoints)) = networking.get("EndpointsConfig") {
            for (network, endpoint) in endpoints {
                endpoint_fields(network, endpoint)?;
            }
        }
    }
    Ok(())
}

/// Refuses limits that cannot be changed while a container exists.
pub(crate) fn update(body: &Value) -> Result<(), Fault> {
    let Value::Object(body) = body else {
        return Err(Fault::invalid("invalid JSON: the request body is not an object"));
    };
    let rows: Vec<Row> = HOST.to_vec();
    let mut fixed = KNOWN_HOST.to_vec();
    fixed.retain(|field| !KNOWN_UPDATE.contains(field));
    for (name, value) in body {
        if fixed.contains(&name.as_str()) && !is_zero(value) {
            return Err(refused(
                name,
                "it cannot be changed once a container exists; make a new one",
            ));
        }
    }
    let known: Vec<&str> = KNOWN_UPDATE.iter().chain(&fixed).copied().collect();
    fields("", body, &known, &rows)
}

/// Refuses what a network is asked for and none could have.
pub(crate) fn network(body: &Value) -> Result<(), Fault> {
    let Value::Object(body) = body else {
        return Err(Fault::invalid("invalid JSON: the request body is not an object"));
    };
    fields("", body, NetworkCreateRequest::FIELDS, &[])?;
    let Some(Value::Object(ipam)) = body.get("IPAM") else { return Ok(()) };
    fields("IPAM.", ipam, Ipam::FIELDS, &[])?;
    let pools = ipam.get("Config").and_then(Value::as_array).into_iter().flatten();
    pools
        .filter_map(Value::as_object)
        .try_for_each(|pool| fields("IPAM.Config.", pool, IpamPool::FIELDS, &[]))
}

/// Refuses unknown fields of a request to connect or disconnect.
pub(crate) fn connect(body: &Value, known: &[&str]) -> Result<(), Fault> {
    let Value::Object(body) = body else {
        return Err(Fault::invalid("invalid JSON: the request body is not an object"));
    };
    fields("", body, known, &[])?;
    match body.get("EndpointConfig") {
        Some(Value::Object(endpoint)) => {
            fields("EndpointConfig.", endpoint, EndpointSettings::FIELDS, &[])
        }
        _ => Ok(()),
    }
}

fn endpoint_fields(network: &str, endpoint: &Value) -> Result<(), Fault> {
    let Value::Object(endpoint) = endpoint else { return Ok(()) };
    let prefix = format!("NetworkingConfig.EndpointsConfig.{network}.");
    fields(&prefix, endpoint, EndpointSettings::FIELDS, &[])
}

fn fields(
    prefix: &str,
    object: &Map<String, Value>,
    known: &[&str],
    rows: &[Row],
) -> Result<(), Fault> {
    for (name, value) in object {
        if known.contains(&name.as_str()) || is_zero(value) {
            continue;
        }
        let reason = rows.iter().find(|(field, _)| field == name).map(|(_, reason)| *reason);
        return Err(refused(
            &format!("{prefix}{name}"),
            reason.unwrap_or("this version does not know it; leave it out"),
        ));
    }
    Ok(())
}

fn refused(field: &str, reason: &str) -> Fault {
    // In the message and not as a hint, because other clients show the message only.
    Fault::unsupported(format!("`{field}` is not supported: {reason}"))
}

/// Whether the value is what an absent field would be. A port without bindings counts as zero too.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}

/// The refusal of a whole call.
pub(crate) fn call(what: &str, instead: &str) -> Fault {
    Fault::unsupported(format!("{what} is not supported by this version of Naru: {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: Value, refused: Option<&str>) {
        let message = create(&body).err().map(|fault| fault.message().to_owned());
        let start = message.as_deref().map(|text| text.split(": ").next().unwrap_or(text));
        let wanted = refused.map(|text| text.split(": ").next().unwrap_or(text));
        assert_eq!(start, wanted, "{body}");
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        check(json!({"Image": "a", "HostConfig": {"Memory": 1}}), None);
        check(json!({"HostConfig": {"Links": [], "PortBindings": {}, "CpuCount": 0}}), None);
        check(json!({"HostConfig": {"PortBindings": {"80/tcp": null}}}), None);
        check(json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}}), None);
        check(json!({"HostConfig": {"VolumesFrom": ["a"], "VolumeDriver": "local"}}), None);
        check(json!({"Colour": "red"}), Some("`Colour` is not supported"));
        check(json!({"Colour": ""}), None);
        check(
            json!({"NetworkingConfig": {"EndpointsConfig": {"default": {"IPAMConfig": {}, "Links": null}}}}),
            None,
        );
        check(json!({"NetworkingConfig": {"EndpointsConfig": {"lan": {"Aliases": ["a"]}}}}), None);
        check(
            json!({"NetworkingConfig": {"EndpointsConfig": {"lan": {"Colour": "red"}}}}),
            Some("`NetworkingConfig.EndpointsConfig.lan.Colour` is not supported"),
        );
        check(json!({"HostConfig": []}), Some("invalid JSON in `HostConfig`: it is not an object"));
        check(json!([1]), Some("invalid JSON: the request body is not an object"));
    }

    #[test]
    fn an_update_may_change_limits_only() {
        assert!(
            update(&json!({"Memory": 1, "RestartPolicy": {"Name": "always"}, "CgroupParent": ""}))
                .is_ok()
        );
        assert_eq!(
            update(&json!({"Devices": [{"PathOnHost": "/dev/null"}]})).unwrap_err().message(),
            "`Devices` is not supported: it cannot be changed once a container exists; make a new one"
        );
    }
}
