//! Pure: containers on the wire.

mod config;
pub mod copy;
mod create;
mod exec;
mod host_config;
mod inspect;
mod list;
mod stats;
mod wait;

pub use config::{ContainerConfig, Healthcheck};
pub use copy::{FilesystemChange, PathStat};
pub use create::{ContainerCreateRequest, ContainerCreateResponse, NetworkingConfig};
pub use exec::{ExecCreateRequest, ExecInspectResponse, ExecProcess, ExecStartRequest};
pub use host_config::{
    BindOptions, DeviceMapping, DeviceRequest, HostConfig, ImageOptions, LogConfig, Mount,
    PortBinding, RestartPolicy, ThrottleDevice, TmpfsOptions, Ulimit, UpdateRequest, VolumeDriver,
    VolumeOptions, WeightDevice,
};
pub use inspect::{
    ContainerInspect, ContainerState, EndpointIpam, EndpointSettings, GraphDriver, Health,
    HealthResult, MountPoint, NetworkSettings, SecondaryAddress,
};
pub use list::{ContainerSummary, HostConfigSummary, NetworkSettingsSummary, Port};
pub use stats::{
    BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats,
    ThrottlingData,
};
pub use wait::{
    Change, PruneResponse, TopResponse, UpdateResponse, WaitCondition, WaitError, WaitResponse,
};
