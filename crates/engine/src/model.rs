//! Pure: the engine's own words for containers and what is asked of them. The API layer converts to and from these.
//!
//! A field that the engine does not serve is not here: the API layer refuses it by name.

mod attach;
mod config;
mod exec;
mod host;
mod list;
mod logs;
mod network;
mod stats;
mod timestamp;
mod view;
mod volume;

pub use attach::{AttachOptions, StreamKind};
pub use config::{ContainerConfig, CreateRequest, Created};
pub use exec::{ExecRequest, ExecStart, ExecView};
pub use host::{
    Bind, BindOptions, DeviceMapping, HostConfig, LogConfig, MountKind, MountPoint, MountRequest,
    Propagation, Resources, RestartName, RestartPolicy, ThrottleDevice, TmpfsOptions, Ulimit,
    WeightDevice,
};
pub use list::{ContainerSummary, ListFilter, PruneFilter, Pruned};
pub use logs::{LogOptions, LogRecord, Tail};
pub use network::{
    EndpointRequest, EndpointView, MemberView, NetworkFilter, NetworkRequest, NetworkView,
    PoolRequest, PortBinding, PublishedPort,
};
pub use stats::{BlockCount, Stats, Top, Traffic};
pub use timestamp::Timestamp;
pub use view::{
    ContainerView, HealthResult, HealthStatus, HealthView, RemoveOptions, StateView, Status,
    WaitCondition, WaitOutcome,
};
pub(crate) use volume::{ANONYMOUS_LABEL, VolumeRecord};
pub use volume::{VolumeFilter, VolumePruneFilter, VolumeRequest, VolumeUsage, VolumeView};
