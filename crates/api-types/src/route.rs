//! Pure: method and path of a request as an enum, and back.
//!
//! Names of images contain slashes, so a route is recognised by its first and last words and the name is what lies
//! between. Escapes are resolved before, so `%2F` in a name is a slash like any other. Empty path segments are skipped.

pub(crate) mod percent;
#[cfg(test)]
mod tests;

use crate::version::{ApiVersion, VersionError};
use naru_errdefs::{Failure, Kind};

/// The methods that any route knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

impl Method {
    /// The method with this name.
    pub fn parse(name: &str) -> Option<Method> {
        match name {
            "GET" => Some(Method::Get),
            "HEAD" => Some(Method::Head),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "DELETE" => Some(Method::Delete),
            _ => None,
        }
    }

    /// The name of the method.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// Declares the enum together with its path in both directions, so that no route can be known in one only.
macro_rules! routes {
    (
        plain { $($plain:ident $plain_method:ident [$($plain_word:literal),+] $plain_doc:literal;)* }
        named { $($named:ident $named_method:ident [$($first:literal,)+ name $(, $last:literal)*] $named_doc:literal;)* }
    ) => {
        /// What a request asks for.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Route {
            $(#[doc = $plain_doc] $plain,)*
            $(#[doc = $named_doc] $named {
                /// The name, ID or ID prefix that the path holds.
                name: String,
            },)*
            /// Anything under the paths of cluster mode or of plugins, which Naru does not have.
            Foreign {
                /// The method.
                method: Method,
                /// The path without the version.
                path: String,
            },
        }

        impl Route {
            /// The method of the request.
            pub fn method(&self) -> Method {
                match self {
                    $(Route::$plain => Method::$plain_method,)*
                    $(Route::$named { .. } => Method::$named_method,)*
                    Route::Foreign { method, .. } => *method,
                }
            }

            /// The path without a version, escaped.
            pub fn path(&self) -> String {
                match self {
                    $(Route::$plain => concat!($("/", $plain_word),+).to_owned(),)*
                    $(Route::$named { name } => format!(
                        concat!($("/", $first,)+ "/{}" $(, "/", $last)*),
                        percent::encode_path(name)
                    ),)*
                    Route::Foreign { path, .. } => percent::encode_path(path),
                }
            }

            /// The name in the path, if the route has one.
            pub fn name(&self) -> Option<&str> {
                match self {
                    $(Route::$named { name } => Some(name),)*
                    $(Route::$plain)|* | Route::Foreign { .. } => None,
                }
            }

            fn find(method: Method, words: &[&str]) -> Option<Route> {
                match (method, words) {
                    $((Method::$plain_method, [$($plain_word),+]) => Some(Route::$plain),)*
                    $((Method::$named_method, [$($first,)+ name @ .. $(, $last)*]) if !name.is_empty() =>
                        Some(Route::$named { name: name.join("/") }),)*
                    (method, [first, ..]) if FOREIGN.contains(first) =>
                        Some(Route::Foreign { method, path: format!("/{}", words.join("/")) }),
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        fn all_named(name: &str) -> Vec<Route> {
            vec![$(Route::$named { name: name.to_owned() }),*]
        }

        #[cfg(test)]
        fn all_plain() -> Vec<Route> {
            vec![$(Route::$plain),*]
        }
    };
}

const FOREIGN: [&str; 7] = ["swarm", "nodes", "services", "tasks", "secrets", "configs", "plugins"];

routes! {
    plain {
        Ping Get ["_ping"] "Is anybody there?";
        PingHead Head ["_ping"] "Is anybody there? (headers only)";
        Version Get ["version"] "Versions of the daemon and its parts.";
        Info Get ["info"] "Facts about the host.";
        Events Get ["events"] "What happens, as a stream.";
        DiskUsage Get ["system", "df"] "What takes how much room.";
        Auth Post ["auth"] "Check credentials of a registry.";
        Session Post ["session"] "A build session.";
        Grpc Post ["grpc"] "A build session, the other way round.";
        Build Post ["build"] "Build an image.";
        BuildPrune Post ["build", "prune"] "Drop build cache.";
        BuildCancel Post ["build", "cancel"] "Cancel a build.";
        BuildContext Post ["naru", "context"] "Announce the files of a build context (an extension of ours).";
        BuildAgents Post ["naru", "agents"] "Lend agents of ssh to a build (an extension of ours).";
        Commit Post ["commit"] "Make an image of a container.";
        ImageCopy Post ["naru", "copy"] "Copy an image between registries, archives and here (an extension of ours).";
        SystemVerify Post ["naru", "system", "verify"] "Check the whole store (an extension of ours).";
        ContainerList Get ["containers", "json"] "List containers.";
        ContainerCreate Post ["containers", "create"] "Create a container.";
        ContainerPrune Post ["containers", "prune"] "Remove stopped containers.";
        ImageList Get ["images", "json"] "List images.";
        ImageSearch Get ["images", "search"] "Search a registry.";
        ImagesSave Get ["images", "get"] "Several images as one archive.";
        ImageCreate Post ["images", "create"] "Pull or import an image.";
        ImageLoad Post ["images", "load"] "Images from an archive.";
        ImagePrune Post ["images", "prune"] "Remove unused images.";
        NetworkList Get ["networks"] "List networks.";
        NetworkCreate Post ["networks", "create"] "Create a network.";
        NetworkPrune Post ["networks", "prune"] "Remove unused networks.";
        VolumeList Get ["volumes"] "List volumes.";
        VolumeCreate Post ["volumes", "create"] "Create a volume.";
        VolumePrune Post ["volumes", "prune"] "Remove unused volumes.";
    }
    named {
        ContainerInspect Get ["containers", name, "json"] "Everything about a container.";
        ContainerTop Get ["containers", name, "top"] "Processes of a container.";
        ContainerLogs Get ["containers", name, "logs"] "Output of a container.";
        ContainerStats Get ["containers", name, "stats"] "What a container uses.";
        ContainerExport Get ["containers", name, "export"] "The file system of a container as an archive.";
        ContainerChanges Get ["containers", name, "changes"] "What a container changed in its file system.";
        ContainerAttachWebsocket Get ["containers", name, "attach", "ws"] "Attach by a websocket.";
        ContainerArchiveHead Head ["containers", name, "archive"] "Facts about a path in a container.";
        ContainerArchiveGet Get ["containers", name, "archive"] "Copy out of a container.";
        ContainerArchivePut Put ["containers", name, "archive"] "Copy into a container.";
        ContainerStart Post ["containers", name, "start"] "Start a container.";
        ContainerStop Post ["containers", name, "stop"] "Stop a container.";
        ContainerRestart Post ["containers", name, "restart"] "Restart a container.";
        ContainerKill Post ["containers", name, "kill"] "Send a signal to a container.";
        ContainerPause Post ["containers", name, "pause"] "Freeze a container.";
        ContainerUnpause Post ["containers", name, "unpause"] "Thaw a container.";
        ContainerWait Post ["containers", name, "wait"] "Wait for a container.";
        ContainerResize Post ["containers", name, "resize"] "Size of a container's terminal.";
        ContainerRename Post ["containers", name, "rename"] "Rename a container.";
        ContainerUpdate Post ["containers", name, "update"] "Change the limits of a container.";
        ContainerAttach Post ["containers", name, "attach"] "Attach to a container's streams.";
        ContainerExec Post ["containers", name, "exec"] "Make a further process for a container.";
        ContainerRemove Delete ["containers", name] "Remove a container.";
        ExecInspect Get ["exec", name, "json"] "State of an exec.";
        ExecStart Post ["exec", name, "start"] "Start an exec.";
        ExecResize Post ["exec", name, "resize"] "Size of an exec's terminal.";
        ImageInspect Get ["images", name, "json"] "Everything about an image.";
        ImageHistory Get ["images", name, "history"] "How an image was made.";
        ImageSave Get ["images", name, "get"] "One image as an archive.";
        ImageTag Post ["images", name, "tag"] "Give an image another name.";
        ImagePush Post ["images", name, "push"] "Push an image.";
        ImageRemove Delete ["images", name] "Remove an image or a name of it.";
        DistributionInspect Get ["distribution", name, "json"] "What a registry holds under a name.";
        ManifestGet Get ["naru", "manifests", name] "A manifest of a registry, byte for byte (an extension of ours).";
        ManifestPut Put ["naru", "manifests", name] "A manifest into a registry, byte for byte (an extension of ours).";
        NetworkConnect Post ["networks", name, "connect"] "Connect a container to a network.";
        NetworkDisconnect Post ["networks", name, "disconnect"] "Disconnect a container from a network.";
        NetworkInspect Get ["networks", name] "Everything about a network.";
        NetworkRemove Delete ["networks", name] "Remove a network.";
        VolumeBackup Get ["naru", "volumes", name, "archive"] "A volume's content as an archive (an extension of ours).";
        VolumeRestore Put ["naru", "volumes", name, "archive"] "A volume's content from an archive (an extension of ours).";
        VolumeInspect Get ["volumes", name] "Everything about a volume.";
        VolumeRemove Delete ["volumes", name] "Remove a volume.";
    }
}

impl Route {
    /// Reads method and path of a request: the version that its path names, if any, and the route.
    pub fn parse(method: &str, path: &str) -> Result<(Option<ApiVersion>, Route), RouteError> {
        let decoded = percent::decode_path(path)
            .ok_or_else(|| RouteError::Malformed { path: path.to_owned() })?;
        let words: Vec<&str> = decoded.split('/').filter(|word| !word.is_empty()).collect();
        let (version, words) = match words.split_first() {
            Some((first, rest)) if is_version(first) => (Some(*first), rest),
            Some(_) | None => (None, words.as_slice()),
        };
        let unknown = || RouteError::Unknown;
        let method = Method::parse(method).ok_or_else(unknown)?;
        let route = Route::find(method, words).ok_or_else(unknown)?;
        let version = match version {
            Some(text) => Some(text.trim_start_matches('v').parse::<ApiVersion>()?.check()?),
            None => None,
        };
        Ok((version, route))
    }

    /// The path with a version, as a client sends it.
    pub fn versioned_path(&self, version: ApiVersion) -> String {
        format!("/v{version}{}", self.path())
    }
}

fn is_version(word: &str) -> bool {
    let number = word.strip_prefix('v').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Why a request has no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No such path, or not with this method.
    #[error("page not found")]
    Unknown,
    /// Escapes that cannot be resolved.
    #[error("path `{path}` is malformed")]
    Malformed {
        /// The path.
        path: String,
    },
    /// A version that is not spoken.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Failure for RouteError {
    fn kind(&self) -> Kind {
        match self {
            RouteError::Unknown => Kind::NotFound,
            RouteError::Malformed { .. } => Kind::InvalidInput,
            RouteError::Version(error) => error.kind(),
        }
    }
}
