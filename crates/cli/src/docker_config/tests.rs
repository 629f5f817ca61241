//! The file and helpers in a directory of the test's own.

use super::*;
use naru_errdefs::Kind;
use std::time::{Duration, Instant};

const KEY: &str = "localhost:5000";

fn alice() -> AuthConfig {
    AuthConfig {
        username: "alice".to_owned(),
        password: "secret".to_owned(),
        serveraddress: KEY.to_owned(),
        ..AuthConfig::default()
    }
}

fn write(path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> std::io::Result<()> {
    std::fs::File::create(path)?.write_all(text.as_ref())
}

fn read(dir: &Path) -> DockerConfig {
    DockerConfig::read(dir.to_str()).unwrap()
}

#[test]
fn credentials_are_kept_for_the_user_alone() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("new/.docker");
    let file = home.join("config.json");
    assert_eq!(read(&home).store(&alice()).unwrap(), Stored::Unencrypted(file.clone()));
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(read(&home).credentials(KEY).unwrap(), alice());
    assert_eq!(read(&home).store(&alice()).unwrap(), Stored::Quietly);
    read(&home).erase(&[KEY.to_owned()]).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\n\t\"auths\": {}\n}");
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1, "nothing lies about");
}

#[test]
fn a_link_and_a_mode_stay() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real.json");
    write(&real, "{\"auths\":{}}").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.json", dir.path().join("config.json")).unwrap();
    read(dir.path()).store(&alice()).unwrap();
    assert!(std::fs::symlink_metadata(dir.path().join("config.json")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    assert_eq!(read(dir.path()).credentials(KEY).unwrap(), alice());
}

#[test]
fn what_cannot_be_read_or_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("config.json"), "{").unwrap();
    let fault = DockerConfig::read(dir.path().to_str()).unwrap_err();
    assert!(fault.message().contains("config.json"), "{fault}");
    let mut homeless = DockerConfig::read(None).unwrap();
    assert_eq!(homeless.credentials(KEY).unwrap().username, "");
    assert!(homeless.store(&alice()).unwrap_err().hint().unwrap().contains("HOME"));
    write(dir.path().join("config.json"), r#"{"credsStore": "../x"}"#).unwrap();
    assert!(read(dir.path()).credentials(KEY).is_err());
    write(dir.path().join("config.json"), r#"{"credsStore": "is-not-installed"}"#).unwrap();
    let fault = read(dir.path()).credentials(KEY).unwrap_err();
    assert!(fault.message().contains("docker-credential-is-not-installed"), "{fault}");
}

fn script(dir: &Path, text: &str) -> Helper {
    let program = dir.join("docker-credential-test");
    write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Helper::at(&program, Duration::from_secs(20))
}

#[test]
fn a_helper_keeps_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    let helper = script(
        dir.path(),
        &format!(
            "case $1 in
             store) cat > {0};;
             get) read -r key; test -e {0} && cat {0} || {{ echo credentials not found in native keychain; exit 1; }};;
             erase) rm -f {0};;
             esac",
            kept.display()
        ),
    );
    assert_eq!(helper.get(KEY).unwrap(), None);
    helper.store(&alice()).unwrap();
    assert_eq!(
        std::fs::read_to_string(&kept).unwrap(),
        r#"{"ServerURL":"localhost:5000","Username":"alice","Secret":"secret"}"#
    );
    assert_eq!(helper.get(KEY).unwrap(), Some(alice()));
    let token = AuthConfig {
        serveraddress: KEY.to_owned(),
        identitytoken: "tok".to_owned(),
        ..AuthConfig::default()
    };
    helper.store(&token).unwrap();
    assert!(std::fs::read_to_string(&kept).unwrap().contains(r#""Username":"<token>""#));
    assert_eq!(helper.get(KEY).unwrap(), Some(token));
    helper.erase(KEY).unwrap();
    assert_eq!(helper.get(KEY).unwrap(), None);
}

#[test]
fn a_helper_that_fails_stalls_or_babbles_is_no_trap() {
    let dir = tempfile::tempdir().unwrap();
    let failing = script(dir.path(), "echo the vault is locked; exit 3");
    let fault = failing.get(KEY).unwrap_err();
    assert!(fault.message().ends_with("the vault is locked"), "{fault}");
    assert!(failing.store(&alice()).is_err() && failing.erase(KEY).is_err());
    let babbling = script(dir.path(), "echo 'not secret'");
    let fault = babbling.get(KEY).unwrap_err();
    assert!(!naru_errdefs::one_line(&fault).contains("not secret"), "{fault}");
    let program = dir.path().join("docker-credential-test");
    write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    let stalling = Helper::at(&program, Duration::from_millis(300));
    let before = Instant::now();
    assert_eq!(stalling.get(KEY).unwrap_err().kind(), Kind::Unavailable);
    assert!(before.elapsed() < Duration::from_secs(60));
}
