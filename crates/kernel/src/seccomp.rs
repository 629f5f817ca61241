//! Acts: installs a system call filter on the calling process.

use std::io;

/// Installs a classic BPF program, eight bytes an instruction, on the calling thread; `flags` as `seccomp(2)` takes them.
///
/// Without CAP_SYS_ADMIN in its user namespace the thread must have `no_new_privs` set. There is no way back.
pub fn install(program: &[u8], flags: u32) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (instructions, rest) = program.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(invalid());
    }
    let mut filter: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|&[code_low, code_high, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([code_low, code_high]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_overflow| invalid())?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` and the instructions it points to live until after the call; the kernel copies them and
    // verifies the program before it takes effect.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if result > 0 {
        // With the flag TSYNC: the number of a thread that has a filter of its own.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Whether the kernel knows an action (a `SECCOMP_RET_*` value).
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads four bytes from a live value.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action)
    };
    result == 0
}
