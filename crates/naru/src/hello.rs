//! What the embedded image `naru/hello` runs. Acts: writes to standard output.

use std::io::Write;
use std::process::ExitCode;

const TEXT: &str = "
  Hello from Naru!

  This text comes from inside a container:
   1. the client asked the daemon for an image called `naru/hello`, which the daemon made of its own binary,
   2. the daemon described a file system, limits and namespaces for it,
   3. the monitor cloned a process, which mounted its root, gave up its rights and ran this,
   4. the daemon sent these lines back to your terminal.

  Next:
   $ tar -C SOME_ROOT -c . | naru import - my/image
   $ naru run -it --rm my/image sh
";

/// Greets.
pub fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(TEXT.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed our output has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
