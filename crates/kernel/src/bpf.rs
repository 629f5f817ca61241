//! Acts: loads BPF programs that guard devices, and attaches them to cgroups of the unified hierarchy.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    attached_flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next: u32,
    flags: u32,
}

/// `Attributes` must be the structure that `command` expects, with pointers that stay valid during the call.
fn bpf<Attributes>(command: libc::c_int, attributes: &mut Attributes) -> io::Result<libc::c_long> {
    // SAFETY: the pointer and the size describe one live, exclusively borrowed value; the kernel takes a shorter
    // structure as one that is filled up with zeros and never writes beyond the size it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<Attributes>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn number(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().unsigned_abs()
}

fn own(result: libc::c_long) -> io::Result<OwnedFd> {
    let raw =
        RawFd::try_from(result).map_err(|_overflow| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel returned this descriptor just now (close-on-exec, as all of BPF's), and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Loads a program that decides about accesses to devices: eight bytes an instruction.
pub fn load_device_program(instructions: &[[u8; 8]]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let count = u32::try_from(instructions.len())
        .map_err(|_overflow| io::Error::from(io::ErrorKind::InvalidInput))?;
    // The verifier reads whole words, so the bytes are moved to where words may lie.
    let words: Vec<u64> = instructions.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect();
    let mut attributes = LoadAttributes {
        program_type: TYPE_CGROUP_DEVICE,
        instruction_count: count,
        instructions: words.as_ptr() as u64,
        license: license.as_ptr() as u64,
        name: *b"naru_devices\0\0\0\0",
        ..LoadAttributes::default()
    };
    own(bpf(PROG_LOAD, &mut attributes)?)
}

/// Makes `program` the one that guards the devices of `cgroup`; programs attached before are gone afterwards.
pub fn guard_devices(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let before = attached(&cgroup)?;
    let mut attributes = AttachAttributes {
        target: number(&cgroup),
        program: number(&program),
        attach_type: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI,
        ..AttachAttributes::default()
    };
    bpf(PROG_ATTACH, &mut attributes)?;
    // Both hold until the old one is gone: never is there a moment without a guard.
    for id in before {
        let mut attributes = IdAttributes { id, ..IdAttributes::default() };
        let old = own(bpf(PROG_GET_FD_BY_ID, &mut attributes)?)?;
        let mut attributes = AttachAttributes {
            target: number(&cgroup),
            program: number(&old),
            attach_type: ATTACH_CGROUP_DEVICE,
            ..AttachAttributes::default()
        };
        bpf(PROG_DETACH, &mut attributes)?;
    }
    Ok(())
}

/// The numbers of the programs that guard the devices of `cgroup` itself.
pub fn attached(cgroup: impl AsFd) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; 64];
    let mut attributes = QueryAttributes {
        target: number(&cgroup),
        attach_type: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: 64,
        ..QueryAttributes::default()
    };
    bpf(PROG_QUERY, &mut attributes)?;
    ids.truncate(usize::try_from(attributes.count).unwrap_or(usize::MAX).min(64));
    Ok(ids)
}
