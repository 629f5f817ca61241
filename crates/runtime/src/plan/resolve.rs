//! Pure: the spec as a whole to the plan as a whole.

use super::{
    Filter, Host, Namespace, Plan, PlanError, PlanOptions, Propagation, devices, mounts,
    namespaces, process, sysctls,
};
use crate::hook::HookPlan;
use crate::seccomp::{self, SeccompError};
use naru_errdefs::{Failure as _, Kind};
use naru_oci::runtime::{Hook, Linux, LinuxPersonalityDomain, LinuxSeccomp, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Resolves a spec against the host.
pub fn plan(spec: &Spec, options: &PlanOptions, host: &Host) -> Result<Plan, PlanError> {
    let linux = spec.linux().as_ref().ok_or(PlanError::Missing { field: "linux" })?;
    let process = spec.process().as_ref().ok_or(PlanError::Missing { field: "process" })?;
    refuse_unsupported(spec, linux)?;
    let mut warnings = Vec::new();
    let namespaces = namespaces::resolve(linux)?;
    let maps = namespaces::maps(linux, &namespaces)?;
    let in_user_namespace = namespaces.has(Namespace::User) || !host.initial_user_namespace;
    let around = mounts::Surroundings {
        host,
        cgroup_join: &options.cgroup_join,
        own_cgroup_namespace: namespaces.makes(Namespace::Cgroup),
    };
    let mounts = mounts::resolve(spec.mounts().as_deref().unwrap_or_default(), &around)?;
    // A `/dev` of the host is left as it is.
    let own_dev = !mounts.iter().any(|mount| {
        mount.destination == Path::new("/dev")
            && matches!(mount.what, super::MountWhat::Bind { .. })
    });
    let given_devices = linux.devices().as_deref().unwrap_or_default();
    let devices =
        if own_dev { devices::resolve(given_devices, in_user_namespace)? } else { Vec::new() };
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        if name.as_ref().is_some_and(|name| !name.is_empty()) && !namespaces.has(Namespace::Uts) {
            return Err(PlanError::invalid(
                field,
                "the container has no `uts` namespace of its own",
            ));
        }
    }
    let seccomp = filter(linux, options)?;
    let personality = linux.personality().as_ref().map(|personality| match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    });
    let given = process::Given {
        user: options.user.as_ref(),
        seccomp,
        preserve_fds: options.preserve_fds,
        personality,
    };
    let process = process::resolve(process, given, host, &mut warnings)?;
    let settings = linux.sysctl().iter().flatten().collect::<BTreeMap<_, _>>();
    let name = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let hooks = spec.hooks().as_ref();
    let prestart = hooks.and_then(|hooks| hooks.prestart().as_deref());
    let mut runtime_hooks = hook_plans(prestart)?;
    runtime_hooks.extend(hook_plans(hooks.and_then(|hooks| hooks.create_runtime().as_deref()))?);
    Ok(Plan {
        id: options.id.clone(),
        sysctls: sysctls::resolve(&settings, &namespaces)?,
        namespaces,
        maps,
        cgroup_join: options.cgroup_join.clone(),
        hostname: name(spec.hostname()),
        domainname: name(spec.domainname()),
        root: options.root.clone(),
        root_readonly: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        root_propagation: root_propagation(linux)?,
        mounts,
        devices,
        dev_links: own_dev,
        masked_paths: paths("linux.maskedPaths", linux.masked_paths().as_deref())?,
        readonly_paths: paths("linux.readonlyPaths", linux.readonly_paths().as_deref())?,
        new_keyring: options.new_keyring,
        runtime_hooks,
        create_container_hooks: hook_plans(
            hooks.and_then(|hooks| hooks.create_container().as_deref()),
        )?,
        start_container_hooks: hook_plans(
            hooks.and_then(|hooks| hooks.start_container().as_deref()),
        )?,
        hook_state: options.hook_state.clone(),
        gate: options.gate.clone(),
        init: options.init,
        process,
        warnings,
    })
}

fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), PlanError> {
    let refused: [(&'static str, bool); 8] = [
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.timeOffsets", linux.time_offsets().as_ref().is_some_and(|map| !map.is_empty())),
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|map| !map.is_empty())),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
        ("vm", spec.vm().is_some()),
        ("windows", spec.windows().is_some()),
        ("solaris", spec.solaris().is_some()),
    ];
    match refused.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(PlanError::unsupported(field, "leave it out")),
        None => Ok(()),
    }
}

fn filter(linux: &Linux, options: &PlanOptions) -> Result<Option<(Filter, u32)>, PlanError> {
    if let Some(filter) = &options.seccomp {
        return Ok(Some((filter.clone(), 0)));
    }
    filter_of(linux.seccomp().as_ref())
}

/// The compiled filter of a spec's profile, if it has one, and the flags to install it with.
pub(crate) fn filter_of(given: Option<&LinuxSeccomp>) -> Result<Option<(Filter, u32)>, PlanError> {
    given.map(compile).transpose()
}

fn compile(given: &LinuxSeccomp) -> Result<(Filter, u32), PlanError> {
    let refused = |error: SeccompError| match error.kind() {
        Kind::Unsupported => PlanError::unsupported("linux.seccomp", error.to_string()),
        _ => PlanError::invalid("linux.seccomp", error.to_string()),
    };
    let profile = seccomp::from_oci(given).map_err(refused)?;
    Ok((Filter(seccomp::compile(&profile).map_err(refused)?), profile.flags))
}

fn root_propagation(linux: &Linux) -> Result<Propagation, PlanError> {
    match linux.rootfs_propagation().as_deref().filter(|word| !word.is_empty()) {
        None => Ok(Propagation::RecursiveSlave),
        Some(word) => Propagation::parse(word).ok_or_else(|| {
            PlanError::invalid("linux.rootfsPropagation", format!("`{word}` is not known"))
        }),
    }
}

fn paths(field: &'static str, given: Option<&[String]>) -> Result<Vec<PathBuf>, PlanError> {
    given
        .unwrap_or_default()
        .iter()
        .map(|path| match Path::new(path) {
            path if !path.is_absolute() => {
                let why = format!("`{}` is not an absolute path", path.display());
                Err(PlanError::invalid(field, why))
            }
            path => match mounts::clean(path) {
                root if root == Path::new("/") => Err(PlanError::invalid(field, "the root itself")),
                clean => Ok(clean),
            },
        })
        .collect()
}

pub(crate) fn hook_plans(hooks: Option<&[Hook]>) -> Result<Vec<HookPlan>, PlanError> {
    hooks
        .unwrap_or_default()
        .iter()
        .map(|hook| {
            if !hook.path().is_absolute() {
                let why = format!("`{}` is not an absolute path", hook.path().display());
                return Err(PlanError::invalid("hooks", why));
            }
            Ok(HookPlan {
                path: hook.path().clone(),
                args: hook.args().clone().unwrap_or_default(),
                env: hook.env().clone().unwrap_or_default(),
                timeout: hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()),
            })
        })
        .collect()
}
