//! Pure: networks on the wire.

use crate::Map;
use crate::container::EndpointSettings;
use crate::wire::wire;

/// Filters that a list of networks knows.
pub const LIST_FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Filters that a prune of networks knows.
pub const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

wire! {
    /// A network.
    pub struct Network {
        /// The name.
        pub name: String,
        /// The ID.
        pub id: String,
        /// When it was made.
        pub created: String,
        /// Always `local`.
        pub scope: String,
        /// The driver.
        pub driver: String,
        /// Whether it has IPv4.
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        /// Whether it has IPv6.
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        /// Its addresses.
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        /// Whether it has no way out.
        pub internal: bool,
        /// A word of cluster mode.
        pub attachable: bool,
        /// A word of cluster mode.
        pub ingress: bool,
        /// A word of cluster mode.
        pub config_from: ConfigFrom,
        /// A word of cluster mode.
        pub config_only: bool,
        /// Its containers, by ID.
        pub containers: Map<NetworkContainer>,
        /// Options of the driver.
        pub options: Map<String>,
        /// Labels.
        pub labels: Map<String>,
    }

    /// A network to be made.
    pub struct NetworkCreateRequest {
        /// The name.
        pub name: String,
        /// A field of old clients: names are always unique.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub check_duplicate: Option<bool>,
        /// The driver; empty for `bridge`.
        pub driver: String,
        /// `local`, or nothing for what the driver has.
        pub scope: String,
        /// Whether it has IPv4; it does unless this is `false`.
        #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
        pub enable_ipv4: Option<bool>,
        /// Whether it has IPv6; it does not unless this is `true`.
        #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
        pub enable_ipv6: Option<bool>,
        /// Wanted addresses.
        #[serde(rename = "IPAM")]
        pub ipam: Option<Ipam>,
        /// Whether it has no way out.
        pub internal: bool,
        /// A word of cluster mode.
        pub attachable: bool,
        /// A word of cluster mode.
        pub ingress: bool,
        /// A word of cluster mode.
        pub config_only: bool,
        /// A word of cluster mode.
        pub config_from: Option<ConfigFrom>,
        /// Options of the driver.
        pub options: Option<Map<String>>,
        /// Labels.
        pub labels: Option<Map<String>>,
    }

    /// What was made.
    pub struct NetworkCreateResponse {
        /// The ID.
        pub id: String,
        /// What the person should know; empty when there is nothing.
        pub warning: String,
    }

    /// A container that comes into a network.
    pub struct NetworkConnectRequest {
        /// Its name or ID.
        pub container: String,
        /// Its wanted place there.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub endpoint_config: Option<EndpointSettings>,
    }

    /// A container that leaves a network.
    pub struct NetworkDisconnectRequest {
        /// Its name or ID.
        pub container: String,
        /// Whether it leaves even if it cannot be reached.
        pub force: bool,
    }

    /// The addresses of a network.
    pub struct Ipam {
        /// The driver; empty for `default`.
        pub driver: String,
        /// Its options.
        pub options: Option<Map<String>>,
        /// Pools.
        pub config: Vec<IpamPool>,
    }

    /// One pool of addresses of a network.
    pub struct IpamPool {
        /// The subnet, `10.0.0.0/24`.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub subnet: String,
        /// The part of it that addresses are taken from.
        #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
        pub ip_range: String,
        /// The gateway.
        #[serde(skip_serializing_if = "String::is_empty")]
        pub gateway: String,
        /// Addresses that are kept free, by a name for what has them.
        #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "Map::is_empty")]
        pub auxiliary_addresses: Map<String>,
    }

    /// A word of cluster mode.
    pub struct ConfigFrom {
        /// Always empty.
        pub network: String,
    }

    /// A container in a network.
    pub struct NetworkContainer {
        /// Its name.
        pub name: String,
        /// Its endpoint.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Hardware address.
        pub mac_address: String,
        /// Address and prefix.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// Address and prefix.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }

    /// What a prune removed.
    pub struct NetworkPruneResponse {
        /// Names.
        pub networks_deleted: Option<Vec<String>>,
    }
}

impl NetworkCreateRequest {
    /// The fields of the body, for those who refuse unknown ones.
    pub const FIELDS: &[&str] = &[
        "Name",
        "CheckDuplicate",
        "Driver",
        "Scope",
        "EnableIPv4",
        "EnableIPv6",
        "IPAM",
        "Internal",
        "Attachable",
        "Ingress",
        "ConfigOnly",
        "ConfigFrom",
        "Options",
        "Labels",
    ];
}

impl NetworkConnectRequest {
    /// The fields of the body.
    pub const FIELDS: &[&str] = &["Container", "EndpointConfig"];
}

impl NetworkDisconnectRequest {
    /// The fields of the body.
    pub const FIELDS: &[&str] = &["Container", "Force"];
}

impl Ipam {
    /// The fields of the object.
    pub const FIELDS: &[&str] = &["Driver", "Options", "Config"];
}

impl IpamPool {
    /// The fields of the object.
    pub const FIELDS: &[&str] = &["Subnet", "IPRange", "Gateway", "AuxiliaryAddresses"];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::EndpointIpam;
    use serde::Serialize;
    use serde_json::{Value, json};

    #[track_caller]
    fn keys(fields: &[&str], full: impl Serialize) {
        let Value::Object(object) = json!(full) else { panic!("not an object") };
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, fields);
    }

    #[test]
    fn the_lists_of_fields_are_the_fields() {
        keys(
            NetworkCreateRequest::FIELDS,
            NetworkCreateRequest {
                check_duplicate: Some(true),
                enable_ipv4: Some(true),
                enable_ipv6: Some(true),
                ..NetworkCreateRequest::default()
            },
        );
        let endpoint_config = Some(EndpointSettings::default());
        keys(
            NetworkConnectRequest::FIELDS,
            NetworkConnectRequest { container: String::new(), endpoint_config },
        );
        keys(NetworkDisconnectRequest::FIELDS, NetworkDisconnectRequest::default());
        keys(Ipam::FIELDS, Ipam::default());
        let some = || "x".to_owned();
        keys(
            IpamPool::FIELDS,
            IpamPool {
                subnet: some(),
                ip_range: some(),
                gateway: some(),
                auxiliary_addresses: Map::from([(some(), some())]),
            },
        );
        keys(EndpointSettings::FIELDS, EndpointSettings::default());
        keys(
            EndpointIpam::FIELDS,
            EndpointIpam {
                ipv4_address: some(),
                ipv6_address: some(),
                link_local_ips: vec![some()],
            },
        );
    }

    #[test]
    fn null_is_the_zero_value_in_every_request() {
        // As docker-py writes it.
        let request: NetworkCreateRequest = serde_json::from_value(json!({
            "Name": "n", "Driver": null, "Options": null, "CheckDuplicate": null, "Labels": null,
            "EnableIPv4": null, "EnableIPv6": false, "Internal": null, "Attachable": null,
            "Ingress": null, "Scope": null, "ConfigOnly": null, "ConfigFrom": null,
            "IPAM": {"Driver": null, "Options": null, "Config": [
                {"Subnet": "10.9.0.0/24", "IPRange": null, "Gateway": null, "AuxiliaryAddresses": null},
                {},
            ]},
        }))
        .unwrap();
        let ipam = request.ipam.unwrap();
        assert_eq!(ipam.config[0].subnet, "10.9.0.0/24");
        assert_eq!(ipam.config[1], IpamPool::default());
        assert_eq!((request.enable_ipv4, request.enable_ipv6), (None, Some(false)));

        let connect: NetworkConnectRequest = serde_json::from_value(json!({
            "Container": "c", "EndpointConfig": {"IPAMConfig": null, "Links": null, "Aliases": null,
            "MacAddress": null, "DriverOpts": null, "GwPriority": null},
        }))
        .unwrap();
        assert_eq!(connect.endpoint_config, Some(EndpointSettings::default()));
        let connect: NetworkConnectRequest = serde_json::from_value(json!({
            "Container": "c", "EndpointConfig": {"IPAMConfig": {
                "IPv4Address": "10.9.0.5", "IPv6Address": null, "LinkLocalIPs": null}},
        }))
        .unwrap();
        let ipam = connect.endpoint_config.unwrap().ipam_config.unwrap();
        assert_eq!((ipam.ipv4_address.as_str(), ipam.link_local_ips.len()), ("10.9.0.5", 0));
        let leave: NetworkDisconnectRequest =
            serde_json::from_value(json!({"Container": "c", "Force": null})).unwrap();
        assert!(!leave.force);
    }
}
