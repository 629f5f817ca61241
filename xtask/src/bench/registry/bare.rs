//! The least a server of blobs can do: one blob by `sendfile`, a thread for each connection, no look at the request. What a
//! registry falls short of it is its own cost; the rest is the kernel's and the client's. Acts.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// Serves the first bytes of a file to everybody for as long as the program runs. Returns the address.
pub fn serve(file: &Path) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    let file = file.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let file = file.clone();
            std::thread::spawn(move || answer(client, &file));
        }
    });
    Ok(address.to_string())
}

fn answer(client: TcpStream, file: &PathBuf) -> Result<(), String> {
    let file = std::fs::File::open(file).map_err(text)?;
    client.set_nodelay(true).map_err(text)?;
    let mut requests = BufReader::new(client);
    loop {
        let mut first = String::new();
        requests.read_line(&mut first).map_err(text)?;
        // `GET /SIZE HTTP/1.1`
        let size = first.split(['/', ' ']).nth(2).and_then(|word| word.parse::<u64>().ok());
        let Some(size) = size else { return Err("no size".to_owned()) };
        loop {
            let mut line = String::new();
            requests.read_line(&mut line).map_err(text)?;
            if line.trim_end().is_empty() {
                break;
            }
        }
        let client = requests.get_mut();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        client.write_all(head.as_bytes()).map_err(text)?;
        let mut offset = 0;
        while offset < size {
            let left = usize::try_from(size - offset).map_err(text)?;
            let sent = rustix::fs::sendfile(&*client, &file, Some(&mut offset), left.min(1 << 20));
            if sent.map_err(text)? == 0 {
                return Err("the file is shorter".to_owned());
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
