//! What is not HTTP, or HTTP that means two things at once.

use crate::goes_on;
use crate::listening::Listening;

#[test]
fn requests_that_are_none_end_their_connection() {
    let registry = Listening::start();
    let long = format!("GET /v2/ HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 << 20));
    let many = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(5000));
    for request in [
        "\r\n\r\nnonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v2/\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
        "GET /v2/ HTTP/1.1\r\nHost x\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHo st: x\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        &long,
        &many,
    ] {
        let mut client = registry.client();
        client.send(request.as_bytes()).ok();
        client.stop_sending();
        let shown = &request[..request.len().min(100)];
        if let Some(answer) = client.answer("GET") {
            assert!(matches!(answer.status, 400 | 431), "{shown:?}: {}", answer.status);
        }
        assert!(client.is_closed(), "{shown:?}");
    }
    goes_on(&registry);
}

#[test]
fn a_second_request_is_not_smuggled_in() {
    let registry = Listening::start();
    // Both a length and chunks: the chunks count (RFC 9112 section 6.3), or it is refused; what follows is never half a request.
    let mut client = registry.client();
    client
        .send(b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .unwrap();
    let answer = client.answer("POST").unwrap();
    assert!(matches!(answer.status, 202 | 400), "{}", answer.status);
    client.stop_sending();
    assert!(client.is_closed());
    goes_on(&registry);
}

#[test]
fn bodies_where_none_belong_do_not_put_a_connection_out_of_step() {
    let registry = Listening::start();
    let mut client = registry.client();
    for _ in 0..3 {
        client.ask("GET", "/v2/", &[], &[b'x'; 100]).with(200);
        client.ask("DELETE", "/v2/a/manifests/v1", &[], &[b'x'; 100]).with(404);
        client.ask("POST", "/v2/a/blobs/uploads/", &[], &[b'x'; 100]).with(202);
    }
    goes_on(&registry);
}
