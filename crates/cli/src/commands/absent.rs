//! Pure: docker's commands that Naru knows and does not have (yet), each with what to do instead.

use super::{Action, BASE, Command};

macro_rules! absent {
    ($($id:ident $name:literal $instead:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`, refused by name.")]
            pub(super) static $id: Command =
                Command { name: $name, action: Action::Absent($instead), ..BASE };
        )*
    };
}

absent! {
    CHECKPOINT "checkpoint" "freeze a container with `naru pause` instead";
    COMMIT "commit" "use `naru export CONTAINER | naru import - NAME`";
    COMPOSE "compose" "start the containers one by one with `naru run -d`";
    CONFIG "config" "mount the file with `--mount type=bind,source=FILE,target=PATH,readonly`";
    CONTEXT "context" "name the daemon with `-H unix://PATH` or the variable NARU_HOST";
    NODE "node" "Naru runs one host; there is no swarm";
    PLUGIN "plugin" "Naru has no plugins; what it does is built in";
    SEARCH "search" "name the image in full and pull it with `naru pull`";
    SECRET "secret" "mount the file with `--mount type=bind,source=FILE,target=PATH,readonly`";
    SERVICE "service" "Naru runs one host; use `naru run -d --restart always`";
    STACK "stack" "Naru runs one host; start the containers one by one";
    SWARM "swarm" "Naru runs one host; there is no swarm";
    TRUST "trust" "compare digests: `naru images --digests`";
}
