//! Pull, push and login against Debian's docker-registry: by the docker CLI, by our own, and by docker's library for
//! Python. Acts: as root, with the built binary; every test has a network of its own.

mod certificates;
mod own;
mod proxies;
mod secure;

use integration_tests::peer_registry::{Options, PASSWORD, PeerRegistry, USER};
use integration_tests::pty::Terminal;
use integration_tests::{Daemon, Done, run, run_with_input, until};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);
const ADDRESS: &str = "127.0.0.1:5000";
/// Not loopback, where every certificate is fine.
const FAR: &str = "10.9.9.9:5000";
const WITH_PASSWORD: Options = Options { password: true, tls: false };

/// A daemon that is alone with whatever a test starts beside it.
struct Place {
    daemon: Daemon,
    config: PathBuf,
}

impl Place {
    #[track_caller]
    fn new(options: &[&str]) -> Place {
        let daemon = Daemon::start_apart(options).with_busybox("box");
        let mut far = daemon.neighbour("ip");
        run(far.args(["addr", "add", "10.9.9.9/32", "dev", "lo"])).ok();
        let config = daemon.dir().join("docker-config");
        std::fs::create_dir(&config).expect("a directory");
        Place { daemon, config }
    }

    /// A client, with a docker configuration of the test's own.
    fn command(&self, program: Client, words: &[&str]) -> Command {
        let mut command = match program {
            Client::Docker => self.daemon.docker_command(words),
            Client::Naru => self.daemon.command(words),
        };
        command.env("DOCKER_CONFIG", &self.config);
        command
    }

    #[track_caller]
    fn run(&self, program: Client, words: &[&str]) -> Done {
        run(&mut self.command(program, words))
    }

    #[track_caller]
    fn naru(&self, words: &[&str]) -> Done {
        self.run(Client::Naru, words)
    }

    fn config_text(&self) -> String {
        std::fs::read_to_string(self.config.join("config.json")).unwrap_or_default()
    }

    /// Pushes the busybox image under a name.
    #[track_caller]
    fn push(&self, name: &str) {
        self.naru(&["tag", "box", name]).ok();
        self.naru(&["push", "-q", name]).ok();
        self.naru(&["rmi", name]).ok();
    }

    #[track_caller]
    fn login(&self, registry: &PeerRegistry) -> Done {
        let words = ["login", "-u", USER, "--password-stdin", registry.address()];
        run_with_input(&mut self.command(Client::Naru, &words), PASSWORD.as_bytes())
    }
}

#[derive(Debug, Clone, Copy)]
enum Client {
    Docker,
    Naru,
}

/// What both clients must do alike.
fn with_a_password(client: Client) {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, WITH_PASSWORD);
    let name = registry.name("team/box:1");
    let on = |words: &[&str]| place.run(client, words);
    on(&["tag", "box", &name]).ok();
    on(&["push", &name]).fails(1, "");
    on(&["login", "-u", USER, "-p", "wrong", ADDRESS]).fails(1, "unauthorized");
    assert!(!place.config_text().contains(ADDRESS), "{}", place.config_text());
    let done = on(&["login", "-u", USER, "-p", PASSWORD, ADDRESS]).ok();
    assert_eq!(done.stdout, "Login Succeeded\n");
    assert!(
        done.stderr.contains("WARNING! Using --password via the CLI is insecure."),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("WARNING! Your credentials are stored unencrypted in "),
        "{}",
        done.stderr
    );
    // Both write the same file.
    assert_eq!(
        place.config_text(),
        "{\n\t\"auths\": {\n\t\t\"127.0.0.1:5000\": {\n\t\t\t\"auth\": \"YWxpY2U6c2VjcmV0\"\n\t\t}\n\t}\n}"
    );
    let pushed = on(&["push", &name]).ok();
    let last = pushed.stdout.lines().last().expect("a last line");
    let digest = last.split_whitespace().nth(2).expect("a digest").to_owned();
    assert!(last.starts_with("1: digest: sha256:"), "{}", pushed.stdout);
    on(&["rmi", &name]).ok();
    on(&["rmi", "box"]).ok();
    let pulled = on(&["pull", &name]).ok();
    let lines: Vec<&str> = pulled.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"1: Pulling from team/box"), "{}", pulled.stdout);
    assert!(lines.iter().any(|line| line.ends_with(": Pull complete")), "{}", pulled.stdout);
    let end = [
        format!("Digest: {digest}"),
        format!("Status: Downloaded newer image for {name}"),
        name.clone(),
    ];
    assert_eq!(lines[lines.len() - 3..], end, "{}", pulled.stdout);
    let again = on(&["pull", &name]).ok();
    assert!(again.stdout.contains(&format!("Status: Image is up to date for {name}")));
    assert_eq!(on(&["pull", "-q", &name]).ok().stdout, format!("{name}\n"));
    let by_digest = registry.name(&format!("team/box@{digest}"));
    on(&["pull", "-q", &by_digest]).ok();
    assert_eq!(
        on(&["run", "--rm", "--network", "none", &by_digest, "echo", "hi"]).ok().stdout,
        "hi\n"
    );
    on(&["pull", &registry.name("team/box:none")])
        .fails(1, "manifest for 127.0.0.1:5000/team/box:none not found");
    on(&["logout", ADDRESS]).ok();
    on(&["pull", &name]).fails(1, "");
    assert_eq!(place.config_text(), "{\n\t\"auths\": {}\n}");
}

#[test]
fn the_docker_cli_pushes_and_pulls_with_a_password() {
    with_a_password(Client::Docker);
}

#[test]
fn our_client_pushes_and_pulls_with_a_password() {
    with_a_password(Client::Naru);
}

#[test]
fn all_tags_go_and_come() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, Options::default());
    let repository = registry.name("many");
    for tag in ["1", "2", "three"] {
        place.naru(&["tag", "box", &format!("{repository}:{tag}")]).ok();
    }
    let pushed = place.naru(&["push", "-a", &repository]).ok();
    assert_eq!(pushed.stdout.matches(": digest: sha256:").count(), 3, "{}", pushed.stdout);
    for tag in ["1", "2", "three"] {
        place.naru(&["rmi", &format!("{repository}:{tag}")]).ok();
    }
    let pulled = place.run(Client::Docker, &["pull", "-a", &repository]).ok();
    assert!(pulled.stdout.ends_with(&format!("{repository}\n")), "{}", pulled.stdout);
    let listed = place.naru(&["images", "--format", "{{.Tag}}", &repository]).ok();
    let mut tags: Vec<&str> = listed.stdout.lines().collect();
    tags.sort_unstable();
    assert_eq!(tags, ["1", "2", "three"]);
    place.naru(&["push", &registry.name("many:4")]).fails(1, "tag");
    place
        .naru(&["push", &registry.name("other:1")])
        .fails(1, "An image does not exist locally with the tag: 127.0.0.1:5000/other");
}

#[test]
fn run_and_create_pull_what_is_missing() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, WITH_PASSWORD);
    let name = registry.name("box:1");
    let run = ["run", "--rm", "--network", "none"];
    let with = |more: &[&str]| place.naru(&[&run[..], more].concat());
    place.login(&registry).ok();
    place.push(&name);
    with(&["--pull", "never", &name, "true"]).fails(125, &format!("No such image: {name}"));
    let done = with(&[&name, "echo", "hi"]).ok();
    assert_eq!(done.stdout, "hi\n");
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(
        lines[..2],
        [&format!("Unable to find image '{name}' locally"), "1: Pulling from box"]
    );
    assert!(
        done.stderr.ends_with(&format!("Status: Downloaded newer image for {name}\n")),
        "{}",
        done.stderr
    );
    // What is here is not asked for again, unless that is wanted.
    assert_eq!(with(&[&name, "true"]).ok().stderr, "");
    let always = with(&["--pull", "always", &name, "true"]).ok();
    assert!(
        always.stderr.contains(&format!("Status: Image is up to date for {name}")),
        "{}",
        always.stderr
    );
    assert_eq!(with(&["--pull", "always", "-q", &name, "true"]).ok().stderr, "");
    place.naru(&["rmi", &name]).ok();
    let made = place.naru(&["create", "-q", &name, "true"]).ok();
    assert_eq!((made.stdout.trim().len(), made.stderr.as_str()), (64, ""));
    let none = registry.name("none:1");
    let failed = with(&[&none, "true"]);
    assert!(
        failed.stderr.starts_with(&format!("Unable to find image '{none}' locally\n")),
        "{}",
        failed.stderr
    );
    failed.fails(125, &format!("manifest for {none} not found"));
    // The docker CLI does the same with our daemon.
    place.naru(&["rm", made.stdout.trim()]).ok();
    place.naru(&["rmi", &name]).ok();
    let docker = ["run", "--rm", "--network", "none", &name, "echo", "hi"];
    assert_eq!(place.run(Client::Docker, &docker).ok().stdout, "hi\n");
}

#[test]
fn a_credential_helper_keeps_the_password() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, WITH_PASSWORD);
    let bin = place.daemon.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let vault = bin.join("vault");
    let helper = bin.join("docker-credential-vault");
    std::fs::write(
        &helper,
        format!(
            "#!/bin/sh\ncase $1 in\nstore) cat >{0};;\nget) cat {0} 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }};;\nerase) rm -f {0};;\nesac\n",
            vault.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(
        place.config.join("config.json"),
        "{\n\t\"psFormat\": \"x\",\n\t\"credsStore\": \"vault\"\n}",
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let on = |words: &[&str], input: &[u8]| {
        run_with_input(place.command(Client::Naru, words).env("PATH", &path), input)
    };
    let name = registry.name("box:1");
    let done = on(&["login", "-u", USER, "--password-stdin", ADDRESS], b"secret\n").ok();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("Login Succeeded\n", ""));
    let kept = std::fs::read_to_string(&vault).unwrap();
    assert_eq!(kept, r#"{"ServerURL":"127.0.0.1:5000","Username":"alice","Secret":"secret"}"#);
    assert_eq!(
        place.config_text(),
        "{\n\t\"psFormat\": \"x\",\n\t\"credsStore\": \"vault\",\n\t\"auths\": {\n\t\t\"127.0.0.1:5000\": {}\n\t}\n}"
    );
    on(&["tag", "box", &name], b"").ok();
    on(&["push", "-q", &name], b"").ok();
    // Logging in again needs no password.
    let again = on(&["login", ADDRESS], b"").ok();
    assert!(
        again.stderr.starts_with("Authenticating with existing credentials... [Username: alice]\n"),
        "{}",
        again.stderr
    );
    on(&["logout", ADDRESS], b"").ok();
    assert!(!vault.exists());
    on(&["pull", &name], b"").fails(1, "");
    // A helper that is not there is said, and public images come all the same.
    std::fs::write(place.config.join("config.json"), r#"{"credsStore": "gone"}"#).unwrap();
    let open = PeerRegistry::start(&place.daemon, "127.0.0.1:5001", Options::default());
    let public = open.name("box:1");
    place.naru(&["tag", "box", &public]).ok();
    let done = place.naru(&["push", &public]).ok();
    assert!(done.stderr.contains("docker-credential-gone"), "{}", done.stderr);
}

#[test]
fn certificates_are_checked() {
    let certs = tempfile::tempdir().unwrap();
    let dir = certs.path().to_str().unwrap().to_owned();
    let place = Place::new(&["--certs-dir", &dir]);
    let registry = PeerRegistry::start(&place.daemon, FAR, Options { password: true, tls: true });
    let name = registry.name("box:1");
    place.naru(&["tag", "box", &name]).ok();
    let words = ["login", "-u", USER, "-p", PASSWORD, FAR];
    place.naru(&words).fails(1, "certificate");
    place.naru(&["pull", &name]).fails(1, "certificate");
    let own = certs.path().join(FAR);
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(registry.certificate(), own.join("ca.crt")).unwrap();
    place.naru(&words).ok();
    place.naru(&["push", &name]).ok();
    place.naru(&["rmi", &name]).ok();
    assert_eq!(
        place.naru(&["run", "--rm", "--network", "none", &name, "echo", "hi"]).ok().stdout,
        "hi\n"
    );
    drop(place);

    let place = Place::new(&["--insecure-registry", FAR]);
    let registry = PeerRegistry::start(&place.daemon, FAR, Options { password: false, tls: true });
    place.push(&registry.name("box:1"));
    let info = place.naru(&["info"]).ok();
    assert!(info.stdout.contains(&format!(" Insecure Registries:\n  {FAR}\n")), "{}", info.stdout);
}

#[test]
fn a_terminal_shows_one_line_for_each_layer() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, Options::default());
    let name = registry.name("box:1");
    place.push(&name);
    place.naru(&["rmi", "box"]).ok();
    for client in [Client::Naru, Client::Docker] {
        let terminal = Terminal::start(&mut place.command(client, &["pull", &name]));
        terminal.expect("Pull complete");
        terminal.expect(&format!("Status: Downloaded newer image for {name}"));
        let screen = terminal.screen();
        assert!(screen.contains("1: Pulling from box\r\n"), "{screen}");
        assert!(screen.contains("\u{1b}[1A\u{1b}[2K\r"), "{screen}");
        assert_eq!(terminal.wait(), 0);
        place.naru(&["rmi", &name]).ok();
    }
}

#[test]
fn a_password_is_asked_for_on_a_terminal_and_not_shown() {
    let place = Place::new(&[]);
    let _registry = PeerRegistry::start(&place.daemon, ADDRESS, WITH_PASSWORD);
    let mut terminal = Terminal::start(&mut place.command(Client::Naru, &["login", ADDRESS]));
    terminal.expect("Username: ");
    terminal.send("alice\r");
    terminal.expect("Password: ");
    terminal.send("sexx\u{7f}\u{7f}cret\r");
    terminal.expect("Login Succeeded");
    assert!(!terminal.screen().contains("cret"), "{}", terminal.screen());
    assert_eq!(terminal.wait(), 0);
    let done = run_with_input(&mut place.command(Client::Naru, &["login", "other.example"]), b"");
    done.fails(1, "Cannot perform an interactive login from a non TTY device");
}

#[test]
fn a_pull_ends_with_its_client_and_goes_on_with_the_next() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, Options::default());
    let name = registry.name("box:1");
    place.push(&name);
    place.naru(&["rmi", "box"]).ok();
    let mut slow = place
        .command(Client::Naru, &["pull", "--limit-rate", "64k", &name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The layer is on its way as long as the daemon has its part open.
    let pid = place.daemon.pid();
    let under_way = || {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).find(|path| is_part(path))
    };
    let part = until(DEADLINE, under_way).expect("a layer on its way");
    let some = until(DEADLINE, || std::fs::metadata(&part).ok().filter(|part| part.len() > 0));
    assert!(some.is_some(), "nothing comes");
    slow.kill().unwrap();
    slow.wait().unwrap();
    let ended = until(DEADLINE, || under_way().is_none().then_some(()));
    assert!(ended.is_some(), "the daemon goes on without its client");
    assert!(std::fs::metadata(&part).is_ok(), "what came is thrown away");
    assert_eq!(place.naru(&["images", "-q"]).ok().stdout, "");
    place.naru(&["pull", &name]).ok();
    place.naru(&["run", "--rm", "--network", "none", &name, "true"]).ok();
}

fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

#[test]
fn dockers_library_for_python_pulls_and_pushes() {
    let place = Place::new(&[]);
    let registry = PeerRegistry::start(&place.daemon, ADDRESS, WITH_PASSWORD);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registries/ours.py");
    let done = run(Command::new("/usr/bin/python3")
        .arg(script)
        .arg(place.daemon.socket())
        .arg(registry.address())
        .env("DOCKER_CONFIG", &place.config))
    .ok();
    assert!(done.stdout.ends_with("all is well\n"), "{}", done.stdout);
}
