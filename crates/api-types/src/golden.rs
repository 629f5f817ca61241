//! Acts, in tests only. What the reference daemon answers is read without loss: every field it sends is written again with the same value,
//! but for the ones that are named here. The files were captured from version 20.10, the requests that create, connect
//! and disconnect from the client's version 28 and from docker-compose 1.29; networks with addresses and published ports
//! are the examples of the API's reference.

use crate::{container, event, image, network, system, volume};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fields that later versions of the API dropped.
const GONE: &[&str] = &[
    "KernelMemory",
    "KernelMemoryTCP",
    "BridgeNfIptables",
    "BridgeNfIp6tables",
    "AllowNondistributableArtifactsCIDRs",
    "AllowNondistributableArtifactsHostnames",
    // A mark of the build, not of the API.
    "VirtualSize",
    // docker leaves it out unless it is set; docker-compose always sends it.
    "NetworkDisabled",
];

#[track_caller]
fn check<T: Serialize + DeserializeOwned>(name: &str, text: &str) {
    let golden: Value = serde_json::from_str(text).unwrap();
    let typed: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    compare(name, &golden, &serde_json::to_value(&typed).unwrap());
}

#[track_caller]
fn compare(path: &str, golden: &Value, ours: &Value) {
    match (golden, ours) {
        (Value::Object(golden), Value::Object(ours)) => {
            for (key, value) in golden {
                if GONE.contains(&key.as_str()) {
                    continue;
                }
                let path = format!("{path}.{key}");
                match ours.get(key) {
                    Some(found) => compare(&path, value, found),
                    None => panic!("{path} is lost: {value}"),
                }
            }
        }
        (Value::Array(golden), Value::Array(ours)) => {
            assert_eq!(golden.len(), ours.len(), "{path}");
            for (index, (golden, ours)) in golden.iter().zip(ours).enumerate() {
                compare(&format!("{path}[{index}]"), golden, ours);
            }
        }
        // A list or map that is always there in later versions was `null` before.
        (Value::Null, Value::Array(list)) => assert!(list.is_empty(), "{path}"),
        (Value::Null, Value::Object(map)) => assert!(map.is_empty(), "{path}"),
        (Value::Null, Value::String(text)) => assert!(text.is_empty(), "{path}"),
        (golden, ours) => assert_eq!(golden, ours, "{path}"),
    }
}

macro_rules! golden {
    ($($name:ident: $type:ty;)*) => {$(
        #[test]
        fn $name() {
            check::<$type>(
                stringify!($name),
                include_str!(concat!("../testdata/", stringify!($name), ".json")),
            );
        }
    )*};
}

golden! {
    compose_connect: network::NetworkConnectRequest;
    compose_create: container::ContainerCreateRequest;
    compose_create_links: container::ContainerCreateRequest;
    compose_network_create: network::NetworkCreateRequest;
    container_create: container::ContainerCreateRequest;
    container_create_networks: container::ContainerCreateRequest;
    container_inspect: container::ContainerInspect;
    container_list: Vec<container::ContainerSummary>;
    container_list_ports: Vec<container::ContainerSummary>;
    container_prune: container::PruneResponse;
    disk_usage: system::DiskUsageResponse;
    event: event::Event;
    exec_inspect: container::ExecInspectResponse;
    image_history: Vec<image::ImageHistoryItem>;
    image_inspect: image::ImageInspect;
    image_list: Vec<image::ImageSummary>;
    image_remove: Vec<image::ImageDeleteItem>;
    info: system::InfoResponse;
    network_connect: network::NetworkConnectRequest;
    network_create: network::NetworkCreateRequest;
    network_created: network::NetworkCreateResponse;
    network_disconnect: network::NetworkDisconnectRequest;
    network_inspect: network::Network;
    network_inspect_bridge: network::Network;
    network_list: Vec<network::Network>;
    network_prune: network::NetworkPruneResponse;
    network_settings: container::NetworkSettings;
    stats: container::Stats;
    top: container::TopResponse;
    version: system::VersionResponse;
    volume_list: volume::VolumeListResponse;
}

#[test]
fn requests_are_read_as_tolerantly_as_clients_expect() {
    let request: container::ContainerCreateRequest = serde_json::from_str(
        r#"{"Cmd":"sh","Entrypoint":["a","b"],"Env":null,"Image":"x","Volumes":{"/a":null},"HostConfig":null,"Labels":null}"#,
    )
    .unwrap();
    assert_eq!(request.config.cmd.words(), ["sh"]);
    assert_eq!(request.config.entrypoint.words(), ["a", "b"]);
    assert!(request.config.volumes.unwrap().contains_key("/a"));
    let bad = serde_json::from_str::<container::ContainerCreateRequest>(r#"{"Image":1}"#);
    assert!(bad.unwrap_err().to_string().contains("invalid type: integer `1`, expected a string"));
}
