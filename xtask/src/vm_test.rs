//! `cargo xtask vm-test`: the limits tests on a kernel with nothing but the unified cgroup hierarchy. Acts.
//!
//! ```text
//! test programs, busybox, modules ──▶ initramfs ──▶ qemu ──▶ /init: mounts, modules, tests ──▶ serial console ──▶ verdict
//! ```
//!
//! Debian's cloud kernel (6.1, older than what most developers run) boots under emulation in some seconds; the test
//! programs are static, so they run on it as they are. Each test that the programs list must be reported as passed.

mod cpio;
mod machine;
mod modules;
mod no_ipv6;
mod verdict;

use crate::shell;
use cpio::Archive;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A test program and the tests that are run from it.
struct Suite {
    package: &'static str,
    /// How cargo calls the program.
    target: &'static [&'static str],
    /// How it is called in the machine.
    name: &'static str,
    /// What the names of its tests begin with.
    prefixes: &'static [&'static str],
    /// Tests that must be among them: the promises, by name.
    named: &'static [&'static str],
    /// Tests that are left out, each for a reason that is said here.
    except: &'static [&'static str],
}

const SUITES: [Suite; 2] = [LIMITS, CONTAINERS];

/// Whole containers: what a kernel that is some years older does with them.
const CONTAINERS: Suite = Suite {
    package: "naru-runtime",
    target: &["--test", "launch"],
    name: "launch",
    prefixes: &[""],
    named: &[
        "basics::a_command_runs_as_process_one_in_its_own_root",
        "basics::no_descriptor_of_ours_is_left",
    ],
    except: &[
        // Emulation takes a hundred times as long.
        "speed::a_launch_takes_milliseconds",
        // Files in memory cannot have shifted owners before Linux 6.3.
        "surroundings::owners_of_a_bind_can_be_shifted",
        // Layers cannot be given one by one before Linux 6.8.
        "surroundings::a_user_namespace_maps_users",
        "surroundings::a_user_namespace_of_another_container_is_joined",
        "surroundings::many_layers_do_not_overflow_the_options",
    ],
};

const LIMITS: Suite = Suite {
    package: "naru-runtime",
    target: &["--lib"],
    name: "limits",
    prefixes: &["cgroup::tests::", "seccomp::tests::a_process_under_the_filter_gets_the_errno"],
    named: &[
        "cgroup::tests::limits::more_memory_than_the_limit_is_death",
        "cgroup::tests::limits::no_more_processes_than_the_limit",
        "cgroup::tests::limits::processor_time_is_counted_and_held_back",
        "cgroup::tests::limits::processors_and_memory_nodes_can_be_chosen",
        "cgroup::tests::limits::the_speed_of_a_disk_is_limited_and_its_use_counted",
        "cgroup::tests::limits::limits_of_a_live_container_are_changed",
        "cgroup::tests::life::frozen_processes_stand_still",
        "cgroup::tests::life::processes_that_multiply_are_all_killed",
        "cgroup::tests::life::a_process_can_be_cloned_into_the_unified_hierarchy",
        "cgroup::tests::devices::only_the_devices_that_are_allowed_can_be_used",
        "seccomp::tests::a_process_under_the_filter_gets_the_errno",
    ],
    except: &[],
};

/// The modules that are loaded: a disk, its scheduler with weights, and overlays.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "bfq", "overlay"];

/// Runs it. With names as arguments only the tests whose names contain one of them are run.
pub fn run(args: &[String]) -> Result<(), String> {
    let ipv6 = args.is_empty() || args.iter().any(|part| no_ipv6::is_meant(part));
    if ipv6 {
        let messages = shell::output(
            "cargo",
            &["build", "--quiet", "--package", "naru", "--message-format=json"],
        )?;
        without_ipv6(&program_of(&messages)?)?;
    }
    if ipv6 && args.iter().all(|part| no_ipv6::is_meant(part)) && !args.is_empty() {
        return Ok(());
    }
    unified(args, false)
}

/// Runs all of it with a binary and tests that the workspace has built already. A machine under emulation uses one processor, so they run side by side.
pub fn with_binary(binary: &Path) -> Result<(), String> {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| without_ipv6(binary));
        unified(&[], true)?;
        other.join().map_err(|_panic| "the machine without IPv6 ended by panic".to_owned())?
    })
}

/// The test programs on a host with the unified hierarchy alone.
fn unified(args: &[String], built: bool) -> Result<(), String> {
    let started = Instant::now();
    let kernel = modules::newest_cloud_kernel(&MODULES)?;
    let mut archive = base(&kernel)?;
    let mut expected = Vec::new();
    let mut commands = String::new();
    for suite in &SUITES {
        let program = build(suite, built)?;
        let tests = select(&list(&program)?, suite, args)?;
        archive.file(&format!("tests/{}", suite.name), 0o755, &slim(&program)?)?;
        // One name a line: the command line of the kernel would not hold them all.
        archive.file(&format!("tests/{}.list", suite.name), 0o644, tests.join("\n").as_bytes())?;
        commands.push_str(&format!("run_suite {}\n", suite.name));
        expected.extend(tests);
    }
    if expected.is_empty() {
        return Err("there is no test of that name".to_owned());
    }
    archive.file("init", 0o755, init_script(&kernel.loading_order, &commands).as_bytes())?;
    let report = boot(&kernel, archive, "", &expected)?;
    shell::say(&format!(
        "vm-test: {report} on {} with the unified hierarchy alone, in {} s",
        kernel.release,
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// A whole daemon on a host whose kernel was booted without IPv6.
fn without_ipv6(binary: &Path) -> Result<(), String> {
    let started = Instant::now();
    let kernel = modules::newest_cloud_kernel(&no_ipv6::MODULES)?;
    let mut archive = base(&kernel)?;
    archive.file("bin/naru", 0o755, &slim(binary)?)?;
    archive.file("init", 0o755, init_script(&kernel.loading_order, no_ipv6::SCRIPT).as_bytes())?;
    let expected: Vec<String> = no_ipv6::EXPECTED.iter().map(|&name| name.to_owned()).collect();
    let report = boot(&kernel, archive, no_ipv6::WORDS, &expected)?;
    shell::say(&format!(
        "vm-test: {report} on {} without IPv6, in {} s",
        kernel.release,
        started.elapsed().as_secs()
    ));
    Ok(())
}

/// The binary that cargo says it has built.
fn program_of(messages: &str) -> Result<PathBuf, String> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/kind/0").is_some_and(|kind| kind == "bin"))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo built no program".to_owned())
}

/// Boots the machine in a directory of its own, and judges what it says.
fn boot(
    kernel: &modules::Kernel,
    archive: Archive,
    words: &str,
    expected: &[String],
) -> Result<String, String> {
    let dir = scratch()?;
    let result = archive.finish().and_then(|ramfs| machine::boot(kernel, &ramfs, words, &dir));
    let removed = std::fs::remove_dir_all(&dir);
    let output = result?;
    removed.map_err(|error| format!("cannot remove `{}`: {error}", dir.display()))?;
    verdict::judge(&output, expected)
}

/// The tests of a suite that are to be run.
fn select(listed: &[String], suite: &Suite, args: &[String]) -> Result<Vec<String>, String> {
    let known = || suite.named.iter().chain(suite.except);
    if let Some(missing) = known().find(|name| !listed.iter().any(|test| test == *name)) {
        return Err(format!("`{}` has no test `{missing}` any more", suite.package));
    }
    let tests: Vec<String> = listed
        .iter()
        .filter(|name| suite.prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !suite.except.contains(&name.as_str()))
        .filter(|name| args.is_empty() || args.iter().any(|part| name.contains(part.as_str())))
        .cloned()
        .collect();
    Ok(tests)
}

/// What the machine needs beside the tests.
fn base(kernel: &modules::Kernel) -> Result<Archive, String> {
    let mut archive = Archive::new();
    for directory in ["bin", "dev", "proc", "sys", "tmp", "etc", "modules", "tests"] {
        archive.directory(directory)?;
    }
    let busybox = std::fs::read("/bin/busybox")
        .map_err(|error| format!("cannot read `/bin/busybox` (Debian: busybox-static): {error}"))?;
    archive.file("bin/busybox", 0o755, &busybox)?;
    archive.link("bin/sh", "busybox")?;
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    for (name, path) in &kernel.loading_order {
        let module = std::fs::read(path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        archive.file(&format!("modules/{name}"), 0o644, &module)?;
    }
    Ok(archive)
}

fn init_script(modules: &[(String, PathBuf)], commands: &str) -> String {
    let loads: String = modules
        .iter()
        .map(|(name, _)| {
            format!("insmod /modules/{name} || echo '{} load {name}'\n", verdict::FAILURE)
        })
        .collect();
    format!(
        r#"#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
# The first root of a kernel cannot be left by pivot_root, so the machine moves to another one at once.
if [ ! -e /moved ]; then
    mkdir /next && mount -t tmpfs tmpfs /next && cp -a /bin /etc /dev /proc /sys /tmp /modules /tests /init /next && touch /next/moved
    exec switch_root /next /init
fi
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup || echo '{failure} mount cgroup2'
{loads}
if grep -q '^bfq ' /proc/modules; then echo bfq > /sys/block/vda/queue/scheduler; fi
# Each test runs in a process of its own, so that one that dies takes no other along.
run_suite() {{
    for name in $(cat /tests/$1.list); do
        if RUST_BACKTRACE=0 TMPDIR=/tmp /tests/$1 --exact "$name" > /tmp/output 2>&1 && grep -q '1 passed' /tmp/output; then
            echo "{passed} $name"
        else
            cat /tmp/output
            echo "{failed} $name"
        fi
    done
}}
{commands}
left=$(find /sys/fs/cgroup -mindepth 1 -type d)
if [ -n "$left" ]; then echo "{failure} cgroups are left: $left"; fi
echo "{end}"
poweroff -f
"#,
        failure = verdict::FAILURE,
        passed = verdict::PASSED,
        failed = verdict::FAILED,
        end = verdict::END,
    )
}

/// Builds the test program of a package, unless the whole workspace's are `built`, and finds it.
fn build(suite: &Suite, built: bool) -> Result<PathBuf, String> {
    let package = suite.package;
    shell::say(&format!("building `{}` of {package}", suite.name));
    let mut arguments = vec!["test", "--quiet"];
    // What was built with the workspace is found again only with the features that all of it gives its dependencies.
    match built {
        true => arguments.push("--workspace"),
        false => arguments.extend(["--package", package]),
    }
    arguments.extend(suite.target);
    arguments.extend(["--no-run", "--message-format=json"]);
    let messages = shell::output("cargo", &arguments)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/profile/test").is_some_and(|test| test == true))
        .filter(|message| {
            let id = message.get("package_id").and_then(serde_json::Value::as_str);
            id.is_some_and(|id| id.contains(&format!("#{package}@")))
        })
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo built no test program for `{package}`"))
}

fn list(program: &Path) -> Result<Vec<String>, String> {
    let text = shell::output(&program.to_string_lossy(), &["--list", "--format", "terse"])?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The program without what only debuggers read: less to unpack for a slow machine.
fn slim(program: &Path) -> Result<Vec<u8>, String> {
    let dir = scratch()?;
    let slim = dir.join("program");
    let stripped = shell::output(
        "strip",
        &["--strip-all", "-o", &slim.to_string_lossy(), &program.to_string_lossy()],
    );
    let source = if stripped.is_ok() { slim } else { program.to_owned() };
    let bytes = std::fs::read(&source)
        .map_err(|error| format!("cannot read `{}`: {error}", source.display()))?;
    std::fs::remove_dir_all(&dir)
        .map_err(|error| format!("cannot remove `{}`: {error}", dir.display()))?;
    Ok(bytes)
}

/// A fresh directory that the caller removes.
fn scratch() -> Result<PathBuf, String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("naru-vm-test-{}-{number}", std::process::id()));
    std::fs::create_dir(&dir)
        .map_err(|error| format!("cannot make `{}`: {error}", dir.display()))?;
    Ok(dir)
}
