//! Caches from daemon to daemon.

use super::{Site, build, context, id};
use serde_json::Value;
use std::path::Path;

const UUID: &str = "cat /proc/sys/kernel/random/uuid";

/// What runs is never twice the same, so the same image again is one in which nothing ran.
fn dockerfile() -> String {
    format!(
        "FROM box AS build\nWORKDIR /src\nCOPY a.txt .\nRUN cat a.txt > /out.txt; {UUID} > /big\n\
         FROM box\nWORKDIR /app\nWORKDIR /app\nCOPY --from=build /out.txt /app/\nCOPY --link a.txt /linked/\n\
         RUN {UUID} > /uuid\nENV A=b\nCMD [\"cat\", \"/app/out.txt\"]\n"
    )
}

fn blobs(daemon: &integration_tests::Daemon) -> usize {
    std::fs::read_dir(daemon.data_root().join("content/blobs/sha256")).expect("blobs").count()
}

#[test]
fn a_fresh_daemon_runs_nothing_that_a_cache_has() {
    let site = Site::new();
    let dir = context(&site.daemon, "c", &[("Dockerfile", &dockerfile()), ("a.txt", "hello\n")]);
    let local = site.daemon.dir().join("cache").display().to_string();
    let max = format!("type=registry,ref={},mode=max", site.name("max"));
    let min = format!("type=registry,ref={}", site.name("min"));
    let (dest, src) = (format!("type=local,dest={local}"), format!("type=local,src={local}"));
    let to =
        ["--cache-to", &max, "--cache-to", &min, "--cache-to", &dest, "--cache-to", "type=inline"];
    build(&site.daemon, &dir, &to).ok();
    let built = id(&site.daemon);
    let pushed = site.name("pushed");
    site.daemon.naru(&["tag", "img", &pushed]).ok();
    site.daemon.naru(&["push", "-q", &pushed]).ok();
    let layers = |name| site.raw(name)["layers"].as_array().expect("layers").len();
    // The stage that only was copied from goes along where all is asked for.
    assert_eq!((layers("min"), layers("max")), (4, 7));
    let kind = &site.raw("min")["config"]["mediaType"];
    assert_eq!(kind, "application/vnd.naru.buildcache.config.v1+json");

    let min = format!("type=registry,ref={}", site.name("min"));
    let max = format!("type=registry,ref={}", site.name("max"));
    for source in [min.as_str(), max.as_str(), src.as_str(), pushed.as_str()] {
        let fresh = site.fresh();
        let before = blobs(&fresh);
        let inline = ["--cache-to", "type=inline", "--cache-from", source];
        let done = build(&fresh, &dir, &inline).ok();
        assert!(!done.stderr.contains("warning"), "{source}: {}", done.stderr);
        assert_eq!(id(&fresh), built, "{source}: {}", done.stderr);
        let steps = done.stderr.matches("CACHED\n").count();
        assert_eq!(steps, 12, "{source}: {}", done.stderr);
        if source == max {
            // Layers that nothing was made on stay where they are: four layers came, and configuration and manifest are new.
            assert_eq!(blobs(&fresh) - before, 6);
            // What was brought counts for builds that name the cache: one that names none makes its own.
            build(&fresh, &dir, &["--cache-to", "type=inline"]).ok();
            assert_ne!(id(&fresh), built);
            build(&fresh, &dir, &inline).ok();
            // A build that names both caches takes its own first.
            assert_ne!(id(&fresh), built);
        }
        let run = fresh.naru(&["run", "--rm", "--network", "none", "img"]).ok();
        assert_eq!(run.text(), "hello");
    }

    // Only what changed is made, on what is brought for it.
    let fresh = site.fresh();
    std::fs::write(dir.join("a.txt"), "other\n").expect("a file");
    build(&fresh, &dir, &["--cache-from", &max, "--cache-to", &max]).ok();
    assert_eq!(fresh.naru(&["run", "--rm", "--network", "none", "img"]).ok().text(), "other");
    // A stage that a cache leaves out is made when its files are wanted for something else.
    let fresh = site.fresh();
    let text = dockerfile()
        .replace("/out.txt /app/", "/out.txt /app/moved.txt")
        .replace("/app/out", "/app/moved");
    std::fs::write(dir.join("Dockerfile"), text).expect("a file");
    std::fs::write(dir.join("a.txt"), "hello\n").expect("a file");
    let done = build(&fresh, &dir, &["--cache-from", &min]).ok();
    assert_eq!(fresh.naru(&["run", "--rm", "--network", "none", "img"]).ok().text(), "hello");
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    // Nothing at all is there.
    let none = format!("type=registry,ref={}", site.name("none"));
    let done = build(&fresh, &dir, &["--cache-from", &none]).ok();
    assert!(done.stderr.contains("nothing is taken from the cache"), "{}", done.stderr);
    // What cannot be written fails the build, unless it is said not to.
    let nowhere = "type=registry,ref=127.0.0.1:1/x";
    let failed = build(&fresh, &dir, &["--cache-to", nowhere]);
    assert!(failed.code != 0 && failed.stderr.contains("exporting cache"), "{failed:?}");
    build(&fresh, &dir, &["--cache-to", &format!("{nowhere},ignore-error=true")]).ok();
}

/// Changes the list of a cache in a directory, and everything that names it by its digest.
fn forge(dir: &Path, change: impl Fn(&mut Value, &mut Value)) {
    let blob = |digest: &str| dir.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let read = |path: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
    };
    let put = |value: &Value| {
        let bytes = serde_json::to_vec(value).expect("JSON");
        let digest = naru_oci::Digest::of(&bytes).to_string();
        std::fs::write(blob(&digest), &bytes).expect("a blob");
        (digest, bytes.len())
    };
    let mut index = read(&dir.join("index.json"));
    let entry = &mut index["manifests"][0];
    let mut manifest = read(&blob(entry["digest"].as_str().expect("a digest")));
    let mut list = read(&blob(manifest["config"]["digest"].as_str().expect("a digest")));
    change(&mut list, &mut manifest);
    let (digest, size) = put(&list);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = put(&manifest);
    entry["digest"] = digest.into();
    entry["size"] = size.into();
    std::fs::write(dir.join("index.json"), index.to_string()).expect("an index");
}

#[test]
fn a_cache_that_lies_is_left_alone() {
    let site = Site::new();
    let dir = context(&site.daemon, "c", &[("Dockerfile", &dockerfile()), ("a.txt", "hello\n")]);
    let local = site.daemon.dir().join("cache");
    let (dest, src) = (
        format!("type=local,dest={},mode=max", local.display()),
        format!("type=local,src={}", local.display()),
    );
    build(&site.daemon, &dir, &["--cache-to", &dest]).ok();
    let whole = site.daemon.dir().join("whole");
    let copy = |from: &Path, to: &Path| {
        std::fs::remove_dir_all(to).ok();
        let mut cp = std::process::Command::new("cp");
        integration_tests::run(cp.arg("-a").arg(from).arg(to)).ok();
    };
    copy(&local, &whole);
    type Lie = fn(&mut Value, &mut Value);
    let lies: [(&str, Lie); 4] = [
        ("another layer than was promised", |list, _| {
            let entries = list["entries"].as_object_mut().expect("entries");
            let count = entries.values().filter(|entry| entry["layer"].is_u64()).count();
            for entry in entries.values_mut() {
                if let Some(at) = entry["layer"].as_u64() {
                    entry["layer"] = ((at + 1) % u64::try_from(count).expect("a number")).into();
                }
            }
        }),
        ("content that nothing has", |list, _| {
            for entry in list["entries"].as_object_mut().expect("entries").values_mut() {
                if entry["layer"].is_u64() {
                    entry["diff_id"] = naru_oci::Digest::of(b"lie").to_string().into();
                }
            }
        }),
        ("absurd sizes", |list, _| {
            for entry in list["entries"].as_object_mut().expect("entries").values_mut() {
                entry["size"] = (1u64 << 60).into();
            }
        }),
        ("layers that are none", |_, manifest| {
            for layer in manifest["layers"].as_array_mut().expect("layers") {
                layer["mediaType"] = "text/plain".into();
            }
        }),
    ];
    let fresh = site.fresh();
    for (what, lie) in lies {
        copy(&whole, &local);
        forge(&local, lie);
        let done = build(&fresh, &dir, &["--cache-from", &src]).ok();
        let run = fresh.naru(&["run", "--rm", "--network", "none", "img"]).ok();
        assert_eq!(run.text(), "hello", "{what}: {}", done.stderr);
        // Everything is as it would be without: nothing false stayed.
        fresh.naru(&["system", "verify"]).ok();
        fresh.naru(&["builder", "prune", "-af"]).ok();
    }
}
