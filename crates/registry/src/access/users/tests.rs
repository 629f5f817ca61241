use super::*;
use std::process::Command;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

fn line(user: &str, password: &str) -> String {
    format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
}

fn file(text: &str) -> (tempfile::TempDir, Arc<UserFile>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    naru_kernel::fs::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
    let users = UserFile::open(&path).unwrap();
    (dir, Arc::new(users))
}

async fn login(
    users: &Arc<UserFile>,
    peer: IpAddr,
    user: &str,
    password: &str,
) -> Result<(), LoginError> {
    users.login(peer, user, &Secret(password.to_owned())).await
}

#[tokio::test(start_paused = true)]
async fn names_and_passwords_are_checked() {
    let (_dir, users) = file(&(line("ann", "secret") + &line("bob", "")));
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()));
    assert_eq!(login(&users, HERE, "bob", "").await, Ok(()));
    for (user, password) in [
        ("ann", "other"),
        ("ann", ""),
        ("ann", "secret\0secret"),
        ("eve", "secret"),
        ("bob", "secret"),
    ] {
        assert_eq!(login(&users, THERE, user, password).await, Err(LoginError::Wrong), "{user}");
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn guessing_is_slowed_down_with_growing_waits() {
    let (_dir, users) = file(&line("ann", "secret"));
    for _ in 0..5 {
        assert_eq!(login(&users, HERE, "ann", "wrong").await, Err(LoginError::Wrong));
    }
    assert_eq!(login(&users, HERE, "ann", "wrong").await, Err(LoginError::Throttled(1)));
    assert_eq!(login(&users, HERE, "ann", "secret").await, Err(LoginError::Throttled(1)));
    assert_eq!(login(&users, THERE, "ann", "secret").await, Err(LoginError::Throttled(1)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(login(&users, HERE, "ann", "wrong").await, Err(LoginError::Wrong));
    assert_eq!(login(&users, HERE, "ann", "secret").await, Err(LoginError::Throttled(2)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_was_let_in_is_remembered_for_a_while() {
    let (_dir, users) = file(&line("ann", "secret"));
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()));
    for _ in 0..10 {
        login(&users, THERE, "ann", "wrong").await.unwrap_err();
    }
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()), "a stranger locks nobody out");
    assert!(login(&users, THERE, "ann", "secret").await.is_err());
    assert_eq!(held(&users.remembered).len(), 1);
    tokio::time::advance(REMEMBERED).await;
    let key = *held(&users.remembered).keys().next().unwrap();
    assert!(!users.remembers(&key));
}

#[tokio::test(start_paused = true)]
async fn the_file_is_read_again_when_it_changes() {
    let (dir, users) = file(&line("ann", "secret"));
    let path = dir.path().join("users");
    let put = |text: &str| naru_kernel::fs::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()));
    put(&line("ann", "changed"));
    tokio::time::advance(LOOK_AGAIN).await;
    assert_eq!(login(&users, HERE, "ann", "secret").await, Err(LoginError::Wrong));
    assert_eq!(login(&users, HERE, "ann", "changed").await, Ok(()));
    // What is wrong changes nothing, and neither does a file that is gone.
    put("ann:plain\n");
    tokio::time::advance(LOOK_AGAIN).await;
    assert_eq!(login(&users, HERE, "ann", "changed").await, Ok(()));
    std::fs::remove_file(&path).unwrap();
    tokio::time::advance(LOOK_AGAIN).await;
    assert_eq!(login(&users, HERE, "ann", "changed").await, Ok(()));
    put(&line("bob", "x"));
    tokio::time::advance(LOOK_AGAIN).await;
    assert_eq!(login(&users, HERE, "ann", "changed").await, Err(LoginError::Wrong));
    assert_eq!(login(&users, HERE, "bob", "x").await, Ok(()));
}

#[tokio::test]
async fn the_same_credentials_at_once_are_checked_once() {
    let (_dir, users) = file(&line("ann", "secret"));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let users = Arc::clone(&users);
        all.spawn(async move { login(&users, HERE, "ann", "secret").await });
    }
    // 200 attempts of their own would be more than the throttle looks at at once.
    assert!(all.join_all().await.into_iter().all(|done| done == Ok(())));
    assert!(held(&users.under_way).is_empty());
}

#[tokio::test]
async fn nobody_costs_as_much_time_as_somebody() {
    let text = format!("ann:{}\n", bcrypt::hash("secret", 8).unwrap());
    let (_dir, users) = file(&text);
    let mut least = [Duration::MAX; 2];
    for _ in 0..2 {
        for (at, user) in ["ann", "nobody"].into_iter().enumerate() {
            let start = std::time::Instant::now();
            assert_eq!(login(&users, HERE, user, "wrong").await, Err(LoginError::Wrong));
            least[at] = least[at].min(start.elapsed());
        }
    }
    let [somebody, nobody] = least;
    assert!(nobody * 3 > somebody, "{least:?}");
}

#[tokio::test]
async fn apaches_own_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    let made = Command::new("htpasswd")
        .args(["-cbB", "-C", "5"])
        .arg(&path)
        .args(["ann", "secret"])
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: no htpasswd here");
        return;
    };
    assert!(made.status.success());
    let users = Arc::new(UserFile::open(&path).unwrap());
    assert_eq!(login(&users, HERE, "ann", "secret").await, Ok(()));
    let md5 =
        Command::new("htpasswd").args(["-bm"]).arg(&path).args(["bob", "secret"]).output().unwrap();
    assert!(md5.status.success());
    let said = one_line(&UserFile::open(&path).unwrap_err());
    assert!(said.contains("$apr1$") && said.contains("`bob`"), "{said}");
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    assert!(
        one_line(&UserFile::open(&path).unwrap_err()).contains("cannot read the file of users")
    );
    let large = naru_kernel::fs::create_new(&path, 0o600).unwrap();
    large.set_len(htpasswd::LARGEST + 1).unwrap();
    assert!(one_line(&UserFile::open(&path).unwrap_err()).contains("larger than 16 MiB"));
}
