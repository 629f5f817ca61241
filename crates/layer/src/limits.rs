//! Pure: how much a layer may ask for before it is refused.

/// Bounds on one layer. What they count is what an archive can make out of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many entries it may have.
    pub entries: u64,
    /// How many bytes the uncompressed archive may have.
    pub unpacked: u64,
    /// Up to this many uncompressed bytes, any compression ratio is taken.
    pub ratio_from: u64,
    /// Beyond that, how many bytes one compressed byte may become.
    pub ratio: u64,
    /// How many directories a path may lead through.
    pub depth: usize,
}

impl Limits {
    /// What every layer is held to when nobody says otherwise.
    pub const fn standard() -> Limits {
        Limits {
            entries: 8_000_000,
            unpacked: 1 << 40,
            // Honest layers of zeros (a swap file, a database's empty table space) reach 1000 with gzip, but are small.
            ratio_from: 4 << 30,
            ratio: 200,
            depth: 512,
        }
    }
}
