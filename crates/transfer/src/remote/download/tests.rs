use super::*;
use crate::remote::RegistriesConfig;
use crate::remote::wire::Patience;
use naru_errdefs::Kind;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server that answers each request by what a function makes of it: the head's lines in, all bytes of the answer out.
struct Server {
    address: String,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Server {
    fn start(answer: impl Fn(&[String]) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let log = Arc::clone(&heard);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || one(stream, &log, &*answer));
            }
        });
        Server { address, heard }
    }

    fn header(&self, request: usize, name: &str) -> Option<String> {
        let heard = self.heard.lock().unwrap();
        let lines = heard.get(request)?;
        let pair = lines.iter().filter_map(|line| line.split_once(": "));
        pair.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).next()
    }
}

fn one(
    stream: TcpStream,
    log: &Mutex<Vec<Vec<String>>>,
    answer: &(impl Fn(&[String]) -> Vec<u8> + ?Sized),
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    log.lock().unwrap().push(lines.clone());
    let mut stream = stream;
    stream.write_all(&answer(&lines)).ok()?;
    // Stays silent where the answer is not whole: until the other side has had enough.
    if lines.first().is_some_and(|line| line.contains("/stall")) {
        reader.read_exact(&mut [0; 1]).ok()?;
    }
    Some(())
}

fn said(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn registries() -> Registries {
    let patience =
        Patience { headers: Duration::from_millis(500), stall: Duration::from_millis(500) };
    Registries::with_patience(RegistriesConfig::default(), patience)
}

async fn get(address: &str, known: &Validators) -> Result<(Download, Option<Vec<u8>>), Fault> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let result = fetch_file(&registries(), address, &path, (known, None)).await;
    let bytes = std::fs::read(&path).ok();
    assert!(result.is_ok() || bytes.is_none(), "a file that failed is left");
    result.map(|download| (download, bytes))
}

#[tokio::test]
async fn a_file_comes_with_its_name_and_time_and_only_once() {
    let server = Server::start(|lines| {
        let has = |text: &str| lines.iter().any(|line| line.eq_ignore_ascii_case(text));
        if has("if-none-match: \"v1\"") {
            return said("304 Not Modified", "", "");
        }
        said("200 OK", "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "text")
    });
    let address = format!("{}/dir/a%20b.txt?x=y", server.address);
    let (download, bytes) = get(&address, &Validators::default()).await.unwrap();
    let Download::File { name, modified, validators } = download else { panic!("unchanged") };
    assert_eq!(
        (name.as_str(), modified, bytes),
        ("a b.txt", Some(784_111_777), Some(b"text".to_vec()))
    );
    assert_eq!(server.header(0, "if-none-match"), None);
    let (download, bytes) = get(&address, &validators).await.unwrap();
    assert_eq!((download, bytes), (Download::Unchanged, None));
    // Without a tag the date is asked with; a server that answers as if it had not heard is taken at its word.
    let dated = Validators { etag: None, ..validators };
    let (download, _) = get(&address, &dated).await.unwrap();
    assert!(matches!(download, Download::File { .. }));
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    assert_eq!(server.header(2, "if-modified-since"), date);
    // 304 is no answer to whoever did not ask for it.
    let odd = Server::start(|_| said("304 Not Modified", "", ""));
    assert!(get(&odd.address, &Validators::default()).await.is_err());
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_tell_no_password() {
    let end = Server::start(|_| said("200 OK", "", "there"));
    let target = format!("Location: {}/other\r\n", end.address);
    let home = Server::start(move |lines| match lines[0].as_str() {
        line if line.contains("/round") => said("302 Found", "Location: /round\r\n", ""),
        line if line.contains("/file") => said("302 Found", "Location: file:///etc/passwd\r\n", ""),
        line if line.contains("/nowhere") => said("302 Found", "", ""),
        line if line.contains("/near") => said("302 Found", "Location: /n\r\n", ""),
        line if line.contains("/n ") => said("200 OK", "", "near"),
        _ => said("307 Temporary Redirect", &target, ""),
    });
    let with_user = home.address.replace("http://", "http://me:secret@");
    let (download, bytes) =
        get(&format!("{with_user}/x.tar"), &Validators::default()).await.unwrap();
    assert_eq!(bytes.as_deref(), Some(&b"there"[..]));
    // The name is that of the address that was asked for.
    assert!(matches!(download, Download::File { name, .. } if name == "x.tar"));
    assert!(home.header(0, "authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!(end.header(0, "authorization"), None);
    let (_, bytes) = get(&format!("{with_user}/near"), &Validators::default()).await.unwrap();
    assert_eq!(bytes.as_deref(), Some(&b"near"[..]));
    for (path, words) in
        [("round", "without end"), ("file", "only http and https"), ("nowhere", "to nowhere")]
    {
        let fault = get(&format!("{with_user}/{path}"), &Validators::default()).await.unwrap_err();
        let text = naru_errdefs::one_line(&fault);
        assert!(text.contains(words) && !text.contains("secret"), "{text}");
    }
    assert!(home.heard.lock().unwrap().len() < 20);
}

#[tokio::test]
async fn whoever_lies_or_stalls_is_given_up() {
    let server = Server::start(|lines| match lines[0].as_str() {
        line if line.contains("/stall-head") => Vec::new(),
        line if line.contains("/stall") => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfew".to_vec()
        }
        line if line.contains("/cut") => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nfew".to_vec()
        }
        line if line.contains("/huge") => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".to_vec()
        }
        line if line.contains("/401") => said("401 Unauthorized", "", "who?"),
        line if line.contains("/500") => said("500 Oops", "", ""),
        line if line.contains("/404") => said("404 Not Found", "", "<html>"),
        _ => b"this is no HTTP\r\n\r\n".to_vec(),
    });
    for (path, kind, words) in [
        ("stall-head", Kind::Unavailable, "does not answer"),
        ("stall", Kind::Unavailable, "stopped in the middle"),
        ("cut", Kind::Unavailable, "cannot fetch a file"),
        ("huge", Kind::InvalidInput, "more than"),
        ("401", Kind::Forbidden, "401"),
        ("500", Kind::Unavailable, "500"),
        ("404", Kind::NotFound, "404"),
        ("junk", Kind::Unavailable, "cannot fetch a file"),
    ] {
        let address = format!("{}/{path}", server.address);
        let fault = get(&address, &Validators::default()).await.unwrap_err();
        let text = naru_errdefs::one_line(&fault);
        assert!(fault.kind() == kind && text.contains(words), "{path}: {text}");
    }
    for address in ["http://", "nonsense", "ftp://127.0.0.1/x"] {
        assert!(get(address, &Validators::default()).await.is_err(), "{address}");
    }
}

#[test]
fn names_come_from_the_address_then_from_the_server() {
    for (address, disposition, name) in [
        ("http://h/a/b.txt?q=1#f", Some("attachment; filename=\"other\""), "b.txt"),
        ("http://h/a/", Some("attachment; filename=\"dir/got.txt\""), "got.txt"),
        ("http://h/", Some("attachment; FileName=got"), "got"),
        ("http://h/", Some("attachment; filename=\"..\""), ""),
        ("http://h/", Some("attachment"), ""),
        ("http://h/a/b/", None, "b"),
        ("http://h/%2e%2e", None, ""),
        ("http://h/a%2Fb", None, ""),
        ("http://h/%zz%", None, "%zz%"),
        ("http://h/", None, ""),
        ("http://h", None, ""),
    ] {
        assert_eq!(name_of(address, disposition), name, "{address} {disposition:?}");
    }
}

#[test]
fn messages_show_no_password() {
    assert_eq!(shown_address("https://u:p@h/x"), "https://u:xxxxx@h/x");
    assert_eq!(shown_address("https://h/x"), "https://h/x");
}
