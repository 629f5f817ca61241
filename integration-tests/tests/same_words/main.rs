//! The same words to docker's client and to ours must become the same requests, and the same answers the same output, the
//! same complaints and the same exit codes. Acts: starts a daemon of a few lines on a socket of its own; needs no root.
//!
//! Each line of the `.txt` files is a command line; ` <<< TEXT` at its end is standard input.

use integration_tests::{Done, binary, run_with_input};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A request: method, path and body, in a form that does not depend on who wrote it.
type Request = (String, String, Value);

/// A daemon that writes down what it is asked and answers from a table.
struct Fake {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    fn start() -> Fake {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("s")).expect("a socket");
        let answers: Map<String, Value> =
            serde_json::from_str(include_str!("answers.json")).expect("the table is JSON");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let answers = Arc::new(answers);
        // The threads end with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                std::thread::spawn(move || serve(&stream, &answers, &log));
            }
        });
        Fake { dir, asked }
    }

    fn client(&self, program: &Path, words: &[String], input: &str) -> (Done, Vec<Request>) {
        // Each starts from the same configuration.
        let config = include_str!("config.json");
        std::fs::write(self.dir.path().join("config.json"), config).expect("a configuration");
        self.asked.lock().expect("nobody panics with it").clear();
        let mut command = Command::new(program);
        command
            .env("DOCKER_HOST", format!("unix://{}", self.dir.path().join("s").display()))
            .env("DOCKER_CONFIG", self.dir.path())
            .env_remove("NARU_HOST")
            .args(words);
        let done = run_with_input(&mut command, input.as_bytes());
        (done, self.asked.lock().expect("nobody panics with it").clone())
    }
}

fn serve(stream: &UnixStream, answers: &Map<String, Value>, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    while let Some((method, target, body)) = read(&mut reader) {
        let path = target.split('?').next().unwrap_or_default();
        let path = match path.get(1..).and_then(|rest| rest.split_once('/')) {
            Some((version, rest)) if version.starts_with("v1.") => format!("/{rest}"),
            _ => path.to_owned(),
        };
        let (status, answer) = match answers.get(&format!("{method} {path}")) {
            Some(row) => {
                let lines = row["lines"].as_array().into_iter().flatten();
                let text: String = lines.map(|line| format!("{line}\r\n")).collect();
                let body = if text.is_empty() { row["body"].to_string() } else { text };
                (row["status"].as_u64().unwrap_or(200), body)
            }
            None if path == "/_ping" => (200, "OK".to_owned()),
            None if path.ends_with("/create") => (
                201,
                r#"{"Id":"0123456789abcdef","Warning":"","Warnings":["one","two"]}"#.to_owned(),
            ),
            None if method == "DELETE" => (204, String::new()),
            None => (200, "{}".to_owned()),
        };
        if path != "/_ping" {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let request = (method.clone(), format!("{path}{}", plain_query(query)), plain(&body));
            log.lock().expect("nobody panics with it").push(request);
        }
        let kind = if path == "/_ping" { "text/plain" } else { "application/json" };
        let answer = if method == "HEAD" { String::new() } else { answer };
        let text = format!(
            "HTTP/1.1 {status} X\r\nApi-Version: 1.50\r\nOstype: linux\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        let mut writer = stream;
        if writer.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, String, Vec<u8>)> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, mut target) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?;
            }
            // Who the user is to a registry, as one more parameter.
            Some((name, value)) if name.eq_ignore_ascii_case("x-registry-auth") => {
                let joint = if target.contains('?') { '&' } else { '?' };
                target = format!("{target}{joint}auth={value}");
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, target, body))
}

/// `=true` for `=1`, and filters as lists.
fn plain_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some(("filters", value)) => format!("filters={}", plain_filters(value)),
            Some((name, "1")) => format!("{name}=true"),
            _ => part.to_owned(),
        })
        .collect();
    format!("?{}", parts.join("&"))
}

fn plain_filters(escaped: &str) -> String {
    let mut text = Vec::new();
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        let escape = (byte == b'%').then(|| [bytes.next(), bytes.next()]);
        text.push(match escape {
            Some([Some(high), Some(low)]) => {
                u8::from_str_radix(&String::from_utf8_lossy(&[high, low]), 16).unwrap_or(b'?')
            }
            _ => byte,
        });
    }
    let mut filters: Value = serde_json::from_slice(&text).expect("filters are JSON");
    for values in filters.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Value::Object(map) = values {
            *values = map.keys().cloned().collect();
        }
    }
    filters.to_string()
}

/// A body without what means nothing: zero values, and an endpoint in the default network of which nothing is asked.
fn plain(body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let mut value: Value = serde_json::from_slice(body).expect("a body is JSON");
    strip(&mut value, "");
    value
}

/// Whether the value is zero once what is zero in it is gone. Maps whose keys alone say something keep them.
fn strip(value: &mut Value, name: &str) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !*on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty() || list.iter().all(|item| item.as_f64() == Some(0.0)),
        Value::Object(map) => {
            let keys_count = ["ExposedPorts", "EndpointsConfig", "Options", "Labels", "DriverOpts"]
                .contains(&name);
            map.retain(|key, value| {
                let zero = strip(value, key);
                key != "MemorySwappiness" && (!zero || keys_count && key != "default")
            });
            map.is_empty()
        }
    }
}

/// The first line of a complaint, without who complains and by which name the program was called.
fn complaint(done: &Done) -> String {
    let first = done.stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut text = first;
    for prefix in ["docker: ", "error: ", "Error response from daemon: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text.replace("naru", "docker")
}

/// Words between blanks; single quotes hold them together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[track_caller]
fn same(lines: &str) {
    let fake = Fake::start();
    let (docker, naru) = (PathBuf::from("docker"), binary());
    let mut differences = Vec::new();
    for line in lines.lines() {
        let (command, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let words = words(command);
        let removes = words.first().is_some_and(|word| word == "network")
            && words.get(1).is_some_and(|word| word == "rm" || word == "remove");
        let seen = |program: &Path| {
            let (done, mut asked) = fake.client(program, &words, &format!("{input}\n"));
            // docker looks at a network before it removes it, to warn about a word of cluster mode.
            asked.retain(|(method, _, _)| !(removes && method == "GET"));
            // Several names are worked on side by side.
            asked.sort_by_key(|(_, path, _)| if removes { path.clone() } else { String::new() });
            (done.code, done.stdout.replace("naru", "docker"), complaint(&done), asked)
        };
        let (theirs, ours) = (seen(&docker), seen(&naru));
        if theirs != ours {
            differences.push(format!("{line}\n  docker: {theirs:?}\n  naru:   {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn networks() {
    same(include_str!("networks.txt"));
}

#[test]
fn registries() {
    same(include_str!("registries.txt"));
}

#[test]
fn ports() {
    same(include_str!("ports.txt"));
}

#[test]
fn what_a_container_wants_of_networks() {
    same(include_str!("create.txt"));
}
