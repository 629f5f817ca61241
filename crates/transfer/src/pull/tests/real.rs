//! Against Debian's `docker-registry` with a password and TLS; `skopeo` pushes.

use super::{Bench, Credentials, Kind, Shelf, image, login};
use naru_test_support::TinyImage;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::File::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn start(dir: &Path) -> Registry {
    let path = |name: &str| dir.join(name).display().to_string();
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            &path("key.pem"),
            "-out",
            &path("cert.pem"),
            "-days",
            "2",
            "-subj",
            "/CN=registry.test",
            "-addext",
            "subjectAltName=DNS:registry.test,IP:127.0.0.1",
        ],
    );
    write(dir.join("htpasswd"), run("htpasswd", &["-Bbn", "me", "secret"]));
    // Free a moment ago; taken by another, the registry ends and the test says so.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n  tls:\n    certificate: {}\n    key: {}\nauth:\n  htpasswd:\n    realm: the realm\n    path: {}\n",
        path("data"),
        path("cert.pem"),
        path("key.pem"),
        path("htpasswd"),
    );
    write(dir.join("config.yml"), settings);
    let mut child = Command::new("docker-registry")
        .args(["serve", &path("config.yml")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains("listening on"))
        .expect("it listens")
        .unwrap();
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.count());
    Registry { child, address }
}

#[test]
fn an_image_that_skopeo_pushed_to_docker_registry_is_pulled() {
    let dir = tempfile::tempdir().unwrap();
    let there = start(dir.path());
    let image: TinyImage = image();
    let shelf = Shelf::of(&image);
    let archive = dir.path().join("image.tar");
    write(&archive, image.oci_archive());
    let name = format!("{}/team/x:v1", there.address);
    run(
        "skopeo",
        &[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            "--dest-creds",
            "me:secret",
            &format!("oci-archive:{}", archive.display()),
            &format!("docker://{name}"),
        ],
    );
    let mut bench = Bench::knowing("me", "secret");
    // Its authority is known by a directory like docker's, and by nothing else: loopback is never verified.
    let certificates = dir.path().join("certs.d").join(there.address.to_string());
    std::fs::create_dir_all(&certificates).unwrap();
    std::fs::copy(dir.path().join("cert.pem"), certificates.join("ca.crt")).unwrap();
    bench.config.certificates.push(dir.path().join("certs.d"));
    bench.pull(&name).unwrap();
    bench.check(&name, &shelf);

    let by_digest = format!("{}/team/x@{}", there.address, shelf.digest());
    Bench { dir: tempfile::tempdir().unwrap(), ..bench }.pull(&by_digest).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = there.address.to_string();
    let good = Bench::knowing("me", "secret");
    let answer = runtime.block_on(login(&good.registries(), &host, &good.credentials)).unwrap();
    assert_eq!(answer.status, "Login Succeeded");
    let bad = Bench::knowing("me", "wrong");
    let fault = runtime.block_on(login(&bad.registries(), &host, &bad.credentials)).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unauthorized, "{fault}");
    let nobody = Bench { credentials: Credentials::Anonymous, ..Bench::new() };
    let fault = nobody.pull(&name).unwrap_err();
    assert!(fault.to_string().contains("pull access denied for"), "{fault}");
    let fault = good.pull(&format!("{}/team/x:none", there.address)).unwrap_err();
    assert!(fault.to_string().contains("not found: manifest unknown: manifest unknown"), "{fault}");
}
