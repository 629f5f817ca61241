//! Our own registry alone, on loopback, at a port that the kernel chose. Acts.

use crate::run::binary;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A `naru registry serve` that ends with the test.
#[derive(Debug)]
pub struct PlainRegistry {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl PlainRegistry {
    /// Starts one with these words, which have it listen at `127.0.0.1:0`.
    #[track_caller]
    pub fn start(words: &[&OsStr]) -> PlainRegistry {
        let mut child = Command::new(binary())
            .args(["registry", "serve"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the built binary");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.split_once("registry: listening address=")?.1;
            Some(rest.split_whitespace().next()?.to_owned())
        });
        // Whatever else it says is taken off its hands.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        PlainRegistry { child, address: address.expect("it says where it listens") }
    }
}

impl Drop for PlainRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
