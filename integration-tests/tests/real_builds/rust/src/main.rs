use std::io::{Read, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    for connection in listener.incoming() {
        let mut connection = connection?;
        let mut request = [0; 4096];
        let _ = connection.read(&mut request)?;
        let body = format!("Rust says {}\n", std::fs::read_dir("/")?.count());
        write!(connection, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok(())
}
