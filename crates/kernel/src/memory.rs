//! Keeps the C allocator's footprint small. Acts: process-wide settings.

/// Lets the allocator use at most this many arenas; more threads then share them instead of keeping memory each.
pub fn limit_arenas(arenas: u8) {
    // SAFETY: `mallopt` only changes a tunable of the allocator; it takes two integers and is safe to call at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, i32::from(arenas));
    }
}

/// Gives memory that was freed back to the kernel. Takes up to some milliseconds after a burst, so it is for idle moments.
pub fn trim() {
    // SAFETY: `malloc_trim` only touches the allocator's own free lists, under its locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
