//! The Debian packages that the tests need beyond Rust. Acts: asks dpkg, and installs when told to.

use crate::shell;

/// Package and the program or file that shows it is there.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("libc6-dev", "/usr/lib/x86_64-linux-gnu/libc.a"),
    ("busybox-static", "/bin/busybox"),
    ("debootstrap", "debootstrap"),
    ("docker.io", "dockerd"),
    ("docker-compose", "docker-compose"),
    ("python3-docker", "/usr/lib/python3/dist-packages/docker"),
    ("python3-pip", "/usr/lib/python3/dist-packages/pip"),
    ("python3-venv", "/usr/share/doc/python3-venv"),
    ("podman", "podman"),
    ("skopeo", "skopeo"),
    ("buildah", "buildah"),
    ("docker-registry", "docker-registry"),
    ("apache2-utils", "htpasswd"),
    ("umoci", "umoci"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("linux-image-cloud-amd64", "/usr/share/doc/linux-image-cloud-amd64"),
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("attr", "getfattr"),
    ("libcap2-bin", "setcap"),
    ("jq", "jq"),
    ("zstd", "zstd"),
    ("xz-utils", "xz"),
    ("bzip2", "bzip2"),
    ("git", "git"),
    ("openssh-client", "ssh-agent"),
    ("openssh-server", "/usr/sbin/sshd"),
    ("curl", "curl"),
    ("strace", "strace"),
    ("wrk", "wrk"),
    ("python3-seccomp", "/usr/share/doc/python3-seccomp"),
];

/// Packages that are not there yet.
pub fn missing() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|(_, sign)| {
            if sign.starts_with('/') {
                !std::path::Path::new(sign).exists()
            } else {
                !shell::exists(sign)
            }
        })
        .map(|(package, _)| *package)
        .collect()
}

/// `cargo xtask deps [--install]`.
pub fn run(args: &[String]) -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() {
        shell::say("every package that the tests need is there");
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !args.iter().any(|arg| arg == "--install") {
        return Err(format!("the tests need Debian packages that are not here; as root: {line}"));
    }
    install(&missing)
}

/// Installs what is missing, or says how to.
pub fn ensure() -> Result<(), String> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::exists("apt-get") {
        return Err(format!(
            "the tests need these programs, named by their Debian packages: {}",
            missing.join(" ")
        ));
    }
    install(&missing)
}

fn install(packages: &[&str]) -> Result<(), String> {
    let env = [("DEBIAN_FRONTEND", "noninteractive")];
    shell::run_with("apt-get", &["update", "-qq"], &env)?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend_from_slice(packages);
    shell::run_with("apt-get", &args, &env)
}
