//! A real Debian, made once by debootstrap and kept for the tests that need one: as a root, as an image of many layers, and as the
//! packages that builds install. Acts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the root has beyond the minimum.
const PACKAGES: &str = "nginx-light,redis-server,redis-tools,perl-base";
const SUITE: &str = "bookworm";

/// What the image of many layers has beyond the minimum, a layer each. The last two hardly compress, so that many bytes travel.
const LAYERS: [&str; 7] = [
    "python3",
    "nginx-light",
    "redis-server",
    "git ca-certificates",
    "sqlite3",
    "fonts-noto-cjk",
    "fonts-noto-cjk-extra",
];
/// What the image's last layer takes away again and adds.
const LAST: &str =
    "rm -rf /usr/share/doc /usr/share/man && mkdir -p /srv && echo nine layers > /srv/word";
/// How many layers the image has: the root, the packages, the last one.
pub const LAYER_COUNT: usize = LAYERS.len() + 2;
/// The image's tag in its layout.
pub const LAYERED_TAG: &str = "services";

/// What builds install upon [`root_tar`].
const BUILDING: &str = "gcc libc6-dev make libpcre2-dev zlib1g-dev cargo python3 python3-pip python3-setuptools python3-wheel \
    nodejs node-mustache";
/// In a root: fetches packages (`$1`, and what they need) and nginx's sources, and makes a repository of them in `/fetched`.
const FETCH: &str = r#"set -e
mkdir -p /fetched/packages /fetched/sources && cd /fetched/packages
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > /etc/apt/sources.list.d/sources.list
apt-get update -q
apt-get install -yq --no-install-recommends --download-only $1
mv /var/cache/apt/archives/*.deb .
for file in *.deb; do
    dpkg-deb -f "$file"
    echo "Filename: ./$file"
    echo "Size: $(stat -c %s "$file")"
    echo "SHA256: $(sha256sum "$file" | cut -d ' ' -f 1)"
    echo
done > Packages
cd ../sources && apt-get source -q --download-only nginx && rm -f *.dsc *.debian.*"#;
/// What a Python service installs, the first of them from its source.
const FROM_PYPI: [&str; 2] = ["bottle==0.13.4", "waitress==3.0.2"];

/// The root as a tar; made on first use, while others wait for it.
#[track_caller]
pub fn root_tar() -> PathBuf {
    kept(&format!("{SUITE}-services.tar"), |dir, target| {
        let root = dir.join("debian");
        bootstrap(&root, &[&format!("--include={PACKAGES}")]);
        pack(&root, target);
    })
}

/// An image of [`LAYER_COUNT`] layers and more than 300 MB as an OCI layout: Debian, then a layer for each of [`LAYERS`], made by
/// `buildah`, with [`LAYERED_TAG`] as its tag. Made on first use, in some minutes, while others wait for it.
#[track_caller]
pub fn layered_layout() -> PathBuf {
    kept(&format!("{SUITE}-layers"), |dir, target| {
        let context = dir.join("context");
        std::fs::create_dir(&context).expect("a directory");
        bootstrap(&dir.join("debian"), &[]);
        pack(&dir.join("debian"), &context.join("root.tar"));
        std::fs::write(context.join("Containerfile"), containerfile()).expect("a file");
        // What it mounts goes with a mount namespace of its own.
        let buildah = |words: &[&OsStr]| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "buildah", "--storage-driver", "overlay", "--root"]);
            command.arg(dir.join("storage")).arg("--runroot").arg(dir.join("run"));
            done(command.args(words));
        };
        let bud = ["bud", "--layers", "--isolation=chroot", "--network=host", "--format=oci", "-t"];
        let bud = bud.into_iter().chain(["layers"]).map(OsStr::new);
        buildah(&bud.chain([context.as_os_str()]).collect::<Vec<_>>());
        let layout = format!("oci:{}:{LAYERED_TAG}", target.display());
        buildah(&["push", "-q", "layers", &layout].map(OsStr::new));
    })
}

/// What builds need that have no network, as three directories: `packages`, a repository of what they install upon
/// [`root_tar`]; `sources`, nginx's as one archive; and `wheels`, what a Python service needs. Made on first use.
#[track_caller]
pub fn for_builds() -> PathBuf {
    let tar = root_tar();
    kept(&format!("{SUITE}-builds"), |dir, target| {
        let root = dir.join("debian");
        std::fs::create_dir(&root).expect("a directory");
        done(Command::new("tar").arg("-C").arg(&root).arg("-xf").arg(tar));
        std::fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).expect("a file");
        done(Command::new("chroot").arg(&root).args(["sh", "-c", FETCH, "sh", BUILDING]));
        // What is configured for it on this machine counts.
        let mut pip = Command::new("/usr/bin/python3");
        pip.args(["-m", "pip", "download", "-q", "--no-deps", "--no-binary", "bottle"]);
        done(pip.args(FROM_PYPI).arg("-d").arg(root.join("fetched/wheels")));
        std::fs::rename(root.join("fetched"), target).expect("the fixture's directory");
    })
}

/// Pure: what `buildah` makes the image by.
fn containerfile() -> String {
    let mut text = String::from(
        "FROM scratch\nADD root.tar /\nENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8\n",
    );
    for packages in LAYERS {
        text.push_str(&format!(
            "RUN apt-get update -q && apt-get install -yq --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/* /var/cache/apt/* && find /var/log -type f -delete\n"
        ));
    }
    text.push_str(&format!("RUN {LAST}\nEXPOSE 80/tcp\nCMD [\"bash\"]\n"));
    text
}

/// A fixture at its place: made in a directory of its own on first use, while others wait for it, and then renamed.
#[track_caller]
fn kept(name: &str, make: impl FnOnce(&Path, &Path)) -> PathBuf {
    let all = std::env::temp_dir().join("naru-debian-fixture");
    std::fs::create_dir_all(&all).expect("a directory for the fixture");
    let path = all.join(name);
    let lock = std::fs::File::options()
        .create(true)
        .append(true)
        .open(all.join(format!("{name}.lock")))
        .expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    if !path.exists() {
        let dir = tempfile::Builder::new().prefix("making").tempdir_in(&all).expect("a directory");
        let partial = dir.path().join(name);
        make(dir.path(), &partial);
        std::fs::rename(&partial, &path).expect("the fixture in its place");
    }
    path
}

#[track_caller]
fn bootstrap(root: &Path, options: &[&str]) {
    let mut command = Command::new("debootstrap");
    done(command.arg("--variant=minbase").args(options).arg(SUITE).arg(root));
    // Downloads and lists that nobody needs in an image.
    for dir in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        let dir = root.join(dir);
        std::fs::remove_dir_all(&dir).expect("debootstrap made it");
        std::fs::create_dir_all(dir.join("partial")).expect("a directory");
    }
}

#[track_caller]
fn pack(root: &Path, tar: &Path) {
    let mut command = Command::new("tar");
    done(command.arg("-C").arg(root).arg("--xattrs").arg("-cf").arg(tar).arg("."));
}

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
