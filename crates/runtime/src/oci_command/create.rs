//! Acts: `create` and `run`: a bundle becomes a container.

use super::arguments::Parsed;
use super::follow::{self, Console, Until};
use super::state::{self, State};
use super::{Global, SPECIFICATION, delete, io, protect, resources, start, time};
use crate::cgroup::{Cgroup, CgroupPath, Hierarchies};
use crate::plan::{Gate, Host, PlanOptions, Root, plan};
use naru_errdefs::{Fault, Kind};
use naru_kernel::node::{self, NodeKind};
use naru_oci::runtime::Spec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// No configuration is longer.
const LONGEST_SPEC: u64 = 16 << 20;

/// `create ID`: everything but the command; it waits at the gate.
pub(super) fn create(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    protect();
    if parsed.options.has("detach") {
        return Err(Fault::invalid("`create` is always detached").with_hint("leave `--detach` out"));
    }
    make(global, parsed, true).map(|_console| 0)
}

/// `run ID`: create, start, and without `--detach` wait and delete.
pub(super) fn run(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    protect();
    let detached = parsed.options.has("detach");
    if !detached {
        // From now on, so that none is lost between the command's first breath and our waiting for signals.
        naru_kernel::reap::block_signals().map_err(io("cannot block signals"))?;
    }
    let (mut state, console) = make(global, parsed, detached)?;
    let id = state.id.clone();
    if let Err(fault) = start::open_gate(global, &mut state) {
        drop(delete::remove(global, &state));
        return Err(fault);
    }
    if detached {
        return Ok(0);
    }
    let code = follow::stay(state.pid, console)?;
    if !parsed.options.has("keep") {
        delete::remove(global, &global.read(&id)?)?;
    }
    Ok(code)
}

fn make(global: &Global, parsed: &mut Parsed, detached: bool) -> Result<(State, Console), Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    if parsed.options.has("no-pivot") {
        return Err(Fault::unsupported("`--no-pivot` is not supported")
            .with_hint("move the root off the initial ram disk"));
    }
    let bundle = bundle(parsed.options.value("bundle").unwrap_or("."))?;
    let spec = read_spec(&bundle)?;
    let terminal = spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
    let mut console = Console::open(parsed.options.value("console-socket"), terminal, detached)?;
    let state = State {
        cgroup: cgroup_path(&spec, &id)?,
        id,
        pid: 0,
        began: 0,
        bundle,
        created: time::now(),
        spec,
    };
    let directory = global.directory(&state.id);
    std::fs::create_dir_all(&global.root)
        .map_err(io(format!("cannot make `{}`", global.root.display())))?;
    match std::fs::create_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("container with id exists: `{}`", state.id);
            return Err(Fault::new(Kind::AlreadyExists, message)
                .with_hint(format!("delete it, or choose another ID than `{}`", state.id)));
        }
        result => result.map_err(io(format!("cannot make `{}`", directory.display())))?,
    }
    let result = fill(global, parsed, state.clone(), &mut console);
    if result.is_err() {
        // The first failure is the one to tell.
        drop(delete::clean(global, &state));
    }
    Ok((result?, console))
}

fn fill(
    global: &Global,
    parsed: &Parsed,
    mut state: State,
    console: &mut Console,
) -> Result<State, Fault> {
    let directory = global.directory(&state.id);
    naru_kernel::path::open_directory(&directory)
        .and_then(|directory| node::make_node(&directory, "gate", NodeKind::Fifo, 0o600, (0, 0)))
        .map_err(io("cannot make the gate"))?;
    let limits = resources::resolve(&state.spec)?;
    let hierarchies = Hierarchies::probe()?;
    let cgroup = Cgroup::create(&hierarchies, &state.cgroup, &limits)?;
    let mut options = PlanOptions::new(&state.id, Root::Directory(state::root(&state)));
    options.cgroup_join = cgroup.cgroup.membership().files();
    options.gate = Gate::Fifo(global.gate(&state.id));
    options.preserve_fds = parsed.options.number("preserve-fds")?;
    options.new_keyring = !parsed.options.has("no-new-keyring");
    options.hook_state = hook_state(&state);
    let host = Host::probe().map_err(io("cannot learn about the host"))?;
    let plan = plan(&state.spec, &options, &host)?;
    let mut launching = crate::launch::launch(&plan, None)?;
    follow::follow(&mut launching, console, Until::Gated)?;
    let warnings = cgroup.warnings.iter().chain(launching.warnings());
    for warning in warnings {
        super::warn(warning);
    }
    state.pid = launching.pid();
    state.began = state::began(state.pid).unwrap_or_default();
    let told = global
        .write(&state)
        .and_then(|()| follow::write_pid_file(parsed.options.value("pid-file"), state.pid));
    if let Err(fault) = told {
        drop(naru_kernel::reap::kill(launching.pidfd()));
        drop(naru_kernel::reap::wait(launching.pidfd()));
        return Err(fault);
    }
    Ok(state)
}

/// What hooks are told, but for the status and the process number.
pub(super) fn hook_state(state: &State) -> serde_json::Map<String, serde_json::Value> {
    let annotations = state.spec.annotations().iter().flatten().collect::<BTreeMap<_, _>>();
    let mut told = serde_json::Map::new();
    told.insert("ociVersion".to_owned(), SPECIFICATION.into());
    told.insert("id".to_owned(), state.id.clone().into());
    told.insert("bundle".to_owned(), state.bundle.to_string_lossy().into());
    told.insert("annotations".to_owned(), serde_json::json!(annotations));
    told
}

fn bundle(given: &str) -> Result<PathBuf, Fault> {
    std::path::absolute(given).map_err(io(format!("cannot find the bundle `{given}`")))
}

fn read_spec(bundle: &Path) -> Result<Spec, Fault> {
    let file = bundle.join("config.json");
    let cannot = || format!("cannot read `{}`", file.display());
    let length = std::fs::metadata(&file).map_err(io(cannot()))?.len();
    if length > LONGEST_SPEC {
        let message = format!("`{}` has {length} bytes, at most {LONGEST_SPEC}", file.display());
        return Err(Fault::invalid(message));
    }
    let text = std::fs::read(&file).map_err(io(cannot()))?;
    serde_json::from_slice(&text).map_err(|error| {
        Fault::invalid(format!("`{}` is not an OCI configuration", file.display()))
            .with_source(error)
    })
}

fn cgroup_path(spec: &Spec, id: &str) -> Result<CgroupPath, Fault> {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    match given.map(|path| path.to_string_lossy()).filter(|path| !path.is_empty()) {
        Some(path) if path.contains(':') => {
            Err(Fault::unsupported(format!("the cgroup `{path}` is made by systemd"))
                .with_hint("use the cgroup manager `cgroupfs`"))
        }
        Some(path) => Ok(path.parse()?),
        None => Ok(CgroupPath::new("/", id)?),
    }
}
