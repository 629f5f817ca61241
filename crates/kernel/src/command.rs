//! Acts: becomes another program in place.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

/// Executes the file behind `program` in place of the calling one; comes back only with the error. Descriptors that are
/// not close-on-exec stay open, children stay children.
pub fn replace(program: impl AsFd, arguments: &[impl AsRef<std::ffi::OsStr>]) -> io::Error {
    let arguments: Result<Vec<CString>, _> =
        arguments.iter().map(|argument| CString::new(argument.as_ref().as_bytes())).collect();
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return io::Error::new(io::ErrorKind::InvalidInput, error),
    };
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        })
        .collect();
    let argv = pointers(&arguments);
    let envp = pointers(&environment);
    // SAFETY: both arrays end with a null pointer and their strings live until the call returns; the empty path is
    // static, and with AT_EMPTY_PATH the descriptor itself is executed.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
