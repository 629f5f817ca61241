//! The load program: this binary in other roles, on machines and (it is static) in containers. Acts: connects, sends, asks.
//!
//! ```text
//! load serve PORT             takes connections; what the first byte says is done: sink, echo, or answer once and close
//! load send ADDRESS SECONDS   bytes a second through one connection
//! load echo ADDRESS SECONDS   microseconds from one byte sent to its return, the median
//! load connect ADDRESS SECONDS   connections a second, each with one byte there and one back
//! load dns ADDRESS NAME SECONDS  answers a second
//! ```

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many ask at once where answers a second are counted.
const ASKERS: usize = 4;
/// Bytes that are sent and received at once.
const PIECE: usize = 128 << 10;
/// When an answer is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The roles. What is measured is returned as one number.
pub fn run(args: &[&str]) -> Result<Option<f64>> {
    match args {
        ["serve", port] => serve(number(port)?).map(|()| None),
        ["send", address, seconds] => send(address, span(seconds)?).map(Some),
        ["echo", address, seconds] => echo(address, span(seconds)?).map(Some),
        ["connect", address, seconds] => {
            askers(span(seconds)?, &|end| connect(address, end)).map(Some)
        }
        ["dns", address, name, seconds] => {
            askers(span(seconds)?, &|end| dns(address, name, end)).map(Some)
        }
        _ => Err(Error::new(ErrorKind::InvalidInput, "there is no such role of the load program")),
    }
}

fn number(text: &str) -> Result<u16> {
    text.parse().map_err(|_number| Error::new(ErrorKind::InvalidInput, "a port is a number"))
}

fn span(text: &str) -> Result<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..60.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a time is a number of seconds"))
}

fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::scope(|scope| {
        for _ in 0..ASKERS {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    // Whoever goes in the middle is nobody's failure.
                    answer(stream).ok();
                }
            });
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut role = [0];
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.read_exact(&mut role)?;
    match &role {
        b"1" => stream.write_all(b"1"),
        b"e" => {
            stream.set_nodelay(true)?;
            thread::Builder::new().spawn(move || echo_back(stream).ok()).map(drop)
        }
        _ => thread::Builder::new().spawn(move || swallow(stream).ok()).map(drop),
    }
}

fn echo_back(mut stream: TcpStream) -> Result<()> {
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
}

fn swallow(mut stream: TcpStream) -> Result<()> {
    let mut piece = vec![0; PIECE];
    while stream.read(&mut piece)? > 0 {}
    stream.write_all(b"1")
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn send(address: &str, time: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"s")?;
    let piece = vec![0; PIECE];
    let (start, mut sent) = (Instant::now(), 0_u64);
    while start.elapsed() < time {
        stream.write_all(&piece)?;
        sent += PIECE as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // Only what has arrived counts.
    stream.read_exact(&mut [0])?;
    Ok(sent as f64 / start.elapsed().as_secs_f64())
}

fn echo(address: &str, time: Duration) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"e")?;
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let sent = Instant::now();
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        times.push(sent.elapsed());
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(median.as_secs_f64() * 1e6)
}

/// What several do until an end, together, a second.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn askers(time: Duration, ask: &(dyn Fn(&dyn Fn() -> bool) -> Result<u64> + Sync)) -> Result<f64> {
    let over = AtomicBool::new(false);
    let start = Instant::now();
    let going = || !over.load(Ordering::Relaxed);
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = (0..ASKERS).map(|_| scope.spawn(|| ask(&going))).collect();
        thread::park_timeout(time);
        over.store(true, Ordering::Relaxed);
        let joined = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_panic| Err(Error::other("an asker panicked")))
        });
        joined.collect::<Result<Vec<u64>>>()
    })?;
    Ok(counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

fn connect(address: &str, going: &dyn Fn() -> bool) -> Result<u64> {
    let mut count = 0;
    while going() {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"1")?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        if rest != b"1" {
            return Err(Error::new(ErrorKind::InvalidData, "a connection gave no answer"));
        }
        count += 1;
    }
    Ok(count)
}

fn dns(address: &str, name: &str, going: &dyn Fn() -> bool) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let (mut count, mut id) = (0, 0_u16);
    let mut answer = [0; 512];
    while going() {
        id = id.wrapping_add(1);
        socket.send(&question(id, name))?;
        let length = socket.recv(&mut answer)?;
        match answer.get(..length) {
            // The same number, an answer, no error, at least one record.
            Some([high, low, _, code, _, _, _, records, ..])
                if [*high, *low] == id.to_be_bytes() && code & 15 == 0 && *records > 0 =>
            {
                count += 1;
            }
            _ => {
                let text = format!("`{name}` was not answered as it should be");
                return Err(Error::new(ErrorKind::InvalidData, text));
            }
        }
    }
    Ok(count)
}

/// Pure: a question for the IPv4 address of a name.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    // Recursion is wanted; one question.
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

#[cfg(test)]
mod tests {
    use super::{question, run};
    use std::net::TcpListener;

    #[test]
    fn a_question_is_what_the_wire_wants() {
        assert_eq!(
            question(258, "a.bc"),
            b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x01\0\x01"
        );
    }

    #[test]
    fn every_role_over_tcp_measures_something() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // The server never ends by itself; it goes with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                super::answer(stream).ok();
            }
        });
        for role in ["send", "echo", "connect"] {
            assert!(run(&[role, &address, "0.1"]).unwrap().unwrap() > 0.0, "{role}");
        }
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for args in [vec![], vec!["send"], vec!["serve", "x"], vec!["send", "a", "-1"]] {
            assert!(run(&args).is_err(), "{args:?}");
        }
    }
}
