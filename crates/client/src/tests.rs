//! The client against a daemon of a few lines, over a real socket.

use crate::connection::fault_of;
use crate::{Client, Content, Endpoint, Revive};
use naru_api_types::container::{ContainerCreateRequest, WaitCondition};
use naru_api_types::{Query, Route};
use naru_errdefs::Kind;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

/// Answers one connection after the other: `script` gets the request's head and body and writes what it likes.
fn server(script: impl Fn(&str, &mut UnixStream) + Send + 'static) -> (tempfile::TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            while let Some(request) = read_request(&mut stream) {
                script(&request, &mut stream);
            }
        }
    });
    (dir, Client::new(Endpoint::Unix(path)))
}

fn read_request(stream: &mut UnixStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(format!("{head}{}", String::from_utf8(body).unwrap()))
}

fn answer(stream: &mut UnixStream, status: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future)
}

#[test]
fn a_connection_is_used_again() {
    let (connections, counted) = std::sync::mpsc::channel();
    let (_dir, client) = server(move |request, stream| {
        connections.send(request.to_owned()).unwrap();
        answer(stream, "201 Created", r#"{"Id":"abc","Warnings":null}"#);
    });
    block(async {
        for _ in 0..2 {
            let made = client
                .create_container(Some("a b"), None, &ContainerCreateRequest::default())
                .await
                .unwrap();
            assert_eq!(made.id, "abc");
        }
    });
    let requests: Vec<String> = counted.try_iter().collect();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].starts_with("POST /containers/create?name=a"), "{}", requests[0]);
}

#[test]
fn a_refusal_carries_kind_and_hint() {
    let (_dir, client) = server(|_, stream| {
        answer(
            stream,
            "404 Not Found",
            r#"{"message":"No such container: x","kind":"not-found","hint":"look"}"#,
        );
    });
    let fault = block(client.start_container("x")).unwrap_err();
    assert_eq!(
        (fault.kind(), fault.message(), fault.hint()),
        (Kind::NotFound, "No such container: x", Some("look"))
    );
}

#[test]
fn what_is_so_already_is_fine() {
    let (_dir, client) = server(|_, stream| {
        stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n").unwrap();
    });
    block(client.start_container("x")).unwrap();
}

#[test]
fn a_hijacked_stream_is_closed_by_halves() {
    let (_dir, client) = server(|request, stream| {
        assert!(request.contains("upgrade: tcp"), "{request}");
        stream
            .write_all(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ")
            .unwrap();
        let mut input = String::new();
        stream.read_to_string(&mut input).unwrap();
        stream.write_all(format!("got {input}").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    block(async {
        let mut streams = client.attach_container("x", &Query::new()).await.unwrap();
        assert_eq!(streams.multiplexed, Some(true));
        streams.writer.write_all(b"input").await.unwrap();
        streams.writer.close().await.unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 4];
        loop {
            match streams.reader.read(&mut buffer).await.unwrap() {
                0 => break,
                n => all.extend_from_slice(&buffer[..n]),
            }
        }
        assert_eq!(all, b"early got input");
    });
}

#[test]
fn waiting_is_registered_before_it_ends() {
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let (_dir, client) = server(move |request, stream| {
        assert!(request.starts_with("POST /containers/x/wait?condition=removed"), "{request}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        may_go.recv().unwrap();
        stream.write_all(b"10\r\n{\"StatusCode\":3}\r\n0\r\n\r\n").unwrap();
    });
    block(async {
        let waiting = client.wait_container("x", WaitCondition::Removed).await.unwrap();
        go.send(()).unwrap();
        assert_eq!(waiting.end().await.unwrap().status_code, 3);
    });
}

#[test]
fn an_absent_daemon_is_named() {
    let client = Client::new(Endpoint::Unix("/nonexistent/s".into()));
    let fault = block(client.act(Route::Ping, &Query::new())).unwrap_err();
    assert_eq!(fault.kind(), Kind::Unavailable);
    assert!(fault.message().contains("unix:///nonexistent/s"), "{}", fault.message());
    assert_eq!(block(client.connect()).unwrap_err().kind(), Kind::Unavailable);
}

#[test]
fn a_question_to_a_daemon_that_dies_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let dying = UnixListener::bind(&path).unwrap();
    let gone = path.clone();
    let death = std::thread::spawn(move || {
        let connection = dying.accept().unwrap();
        // The connection ends without a word, as when its process is killed.
        std::fs::remove_file(&gone).unwrap();
        drop((dying, connection));
    });
    let place = path.clone();
    let revive: Revive = Rc::new(move || {
        let next = UnixListener::bind(&place).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = next.accept().unwrap();
            read_request(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK").unwrap();
        });
        Ok(())
    });
    let client = Client::new(Endpoint::Unix(path)).reviving(Some(revive));
    let answer = block(client.bytes(Route::Ping, &Query::new(), Content::None)).unwrap();
    assert_eq!(answer, "OK");
    death.join().unwrap();
}

#[test]
fn an_answer_that_is_no_json_is_shown_as_it_is() {
    assert_eq!(fault_of(500, b"plain words").message(), "plain words");
    assert_eq!(fault_of(418, b"").message(), "the daemon answered with status 418 and no reason");
}

#[test]
fn networks_are_asked_for_by_their_paths() {
    use naru_api_types::Filters;
    use naru_api_types::network::{
        NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    };
    let (requests, asked) = std::sync::mpsc::channel();
    let (_dir, client) = server(move |request, stream| {
        let first = request.lines().next().unwrap_or_default().to_owned();
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        let reply = match first.split(' ').next() {
            Some("GET") if first.contains("/networks/lan") => r#"{"Name":"lan"}"#,
            Some("GET") => r#"[{"Name":"lan"}]"#,
            _ if first.contains("prune") => r#"{"NetworksDeleted":["old"]}"#,
            _ => r#"{"Id":"1","Warning":"w"}"#,
        };
        answer(stream, "200 OK", reply);
        requests.send((first, body)).unwrap();
    });
    let last = || asked.recv().unwrap();
    block(async {
        let mut filters = Filters::new();
        filters.add("driver", "bridge");
        assert_eq!(client.list_networks(&filters).await.unwrap()[0].name, "lan");
        assert!(last().0.contains("/networks?filters=%7B%22driver%22"));
        assert_eq!(client.inspect_network("lan").await.unwrap().name, "lan");
        assert!(last().0.contains("/networks/lan HTTP"));
        let request = NetworkCreateRequest { name: "lan".to_owned(), ..Default::default() };
        let made = client.create_network(&request).await.unwrap();
        assert_eq!((made.id.as_str(), made.warning.as_str()), ("1", "w"));
        assert!(last().1.contains(r#""Name":"lan""#));
        let pruned = client.prune_networks(&Filters::new()).await.unwrap();
        assert_eq!(pruned.networks_deleted.unwrap(), ["old"]);
        assert!(last().0.starts_with("POST"));
        client.remove_network("lan").await.unwrap();
        assert!(last().0.starts_with("DELETE"));
        let container = || "c".to_owned();
        let request = NetworkConnectRequest { container: container(), endpoint_config: None };
        client.connect_network("lan", &request).await.unwrap();
        let (line, body) = last();
        assert!(line.contains("/networks/lan/connect"), "{line}");
        assert_eq!(body, r#"{"Container":"c"}"#);
        let request = NetworkDisconnectRequest { container: container(), force: true };
        client.disconnect_network("lan", &request).await.unwrap();
        let (line, body) = last();
        assert!(line.contains("/networks/lan/disconnect"), "{line}");
        assert_eq!(body, r#"{"Container":"c","Force":true}"#);
    });
}
