//! Pure over a reader: what bzip2 compressed, block by block. It is only read, because nobody writes layers or contexts so;
//! and it is ours because it is short.

use std::io::{self, Read};

/// The longest code of a symbol.
const LONGEST: usize = 20;
/// Symbols that one table is used for.
const GROUP: usize = 50;
/// Bytes of a block for each step of the level.
const STEP: usize = 100_000;

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the bzip2 stream is damaged: {what}"))
}

/// Bits of a reader, the high ones first.
struct Bits<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    held: u64,
    count: u32,
}

impl<R: Read> Bits<R> {
    fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.at >= self.buffer.len() {
            self.buffer.resize(64 << 10, 0);
            let count = loop {
                match self.input.read(&mut self.buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.buffer.truncate(*count.as_ref().unwrap_or(&0));
            self.at = 0;
            count?;
        }
        let byte = self.buffer.get(self.at).copied();
        self.at += 1;
        Ok(byte)
    }

    /// Sees to it that so many bits (at most 32) are held; says whether there are as many.
    fn fill(&mut self, bits: u32) -> io::Result<bool> {
        while self.count < bits {
            let Some(byte) = self.byte()? else { return Ok(false) };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
        Ok(true)
    }

    fn take(&mut self, bits: u32) -> io::Result<u32> {
        if !self.fill(bits)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.count -= bits;
        let value = self.held >> self.count & ((1 << bits) - 1);
        Ok(u32::try_from(value).unwrap_or(0))
    }

    fn number(&mut self, bits: u32) -> io::Result<usize> {
        Ok(usize::try_from(self.take(bits)?).unwrap_or(0))
    }
}

/// The codes of a table: where those of each length end, and what they stand for.
struct Table {
    /// For each length: the first code that is longer, filled up to the longest length.
    limits: [u32; LONGEST + 1],
    /// For each length: what to subtract from a code to find its symbol.
    starts: [u32; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Table {
    fn of(lengths: &[u8]) -> Table {
        let mut table =
            Table { limits: [0; LONGEST + 1], starts: [0; LONGEST + 1], symbols: Vec::new() };
        let mut code = 0u32;
        for length in 1..=LONGEST {
            let first = u32::try_from(table.symbols.len()).unwrap_or(0);
            let here = (0u16..).zip(lengths).filter(|(_, known)| usize::from(**known) == length);
            table.symbols.extend(here.map(|(symbol, _)| symbol));
            if let Some(start) = table.starts.get_mut(length) {
                // Codes that come before symbols wrap; so does the difference, and it comes out right.
                *start = code.wrapping_sub(first);
            }
            code += u32::try_from(table.symbols.len()).unwrap_or(0) - first;
            if let Some(limit) = table.limits.get_mut(length) {
                *limit = code << (LONGEST - length);
            }
            code <<= 1;
        }
        table
    }

    fn read<R: Read>(&self, bits: &mut Bits<R>) -> io::Result<u16> {
        // Near the end there may be fewer bits than the longest code has.
        let whole = bits.fill(20)?;
        let peek =
            if whole { bits.held >> (bits.count - 20) } else { bits.held << (20 - bits.count) };
        let peek = u32::try_from(peek & 0xf_ffff).unwrap_or(0);
        for (length, limit) in (0u32..).zip(&self.limits).skip(1) {
            if peek < *limit {
                if bits.count < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                bits.count -= length;
                let start =
                    self.starts.get(usize::try_from(length).unwrap_or(0)).copied().unwrap_or(0);
                let place = (peek >> (20 - length)).wrapping_sub(start);
                let symbol = usize::try_from(place).ok().and_then(|place| self.symbols.get(place));
                return symbol.copied().ok_or_else(|| bad("a code without a symbol"));
            }
        }
        Err(bad("a code that is none"))
    }
}

/// The sum of bytes that bzip2 uses: CRC-32 with the high bits first.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut number = 0;
        let mut seed = 0u32;
        while number < 256 {
            let mut value = seed << 24;
            let mut bit = 0;
            while bit < 8 {
                value =
                    if value & 0x8000_0000 != 0 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
                bit += 1;
            }
            #[expect(
                clippy::indexing_slicing,
                reason = "in a constant, a wrong index is an error of the compiler"
            )]
            {
                table[number] = value;
            }
            number += 1;
            seed += 1;
        }
        table
    };
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        let [high, ..] = sum.to_be_bytes();
        sum << 8 ^ TABLE.get(usize::from(high ^ byte)).copied().unwrap_or(0)
    });
    !sum
}

/// Reads what bzip2 compressed, of any number of streams one behind the other.
pub(crate) struct Decoder<R> {
    bits: Bits<R>,
    /// Bytes of a block; none between streams.
    level: Option<usize>,
    /// Streams so far.
    streams: u64,
    sum: u32,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(input: R) -> Decoder<R> {
        let bits = Bits { input, buffer: Vec::new(), at: 0, held: 0, count: 0 };
        Decoder { bits, level: None, streams: 0, sum: 0, block: Vec::new(), at: 0 }
    }

    /// The next block; says whether there was one.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            let Some(level) = self.level else {
                // Whole bytes separate streams.
                self.bits.count -= self.bits.count % 8;
                if self.streams > 0 && !self.bits.fill(8)? {
                    return Ok(false);
                }
                let head = self.bits.take(24)?;
                let digit = self.bits.take(8)?;
                if head != 0x42_5a68 || !(0x31..=0x39).contains(&digit) {
                    return Err(bad("no stream begins where one should"));
                }
                self.level = Some(usize::try_from(digit - 0x30).unwrap_or(1) * STEP);
                self.streams += 1;
                self.sum = 0;
                continue;
            };
            let magic = u64::from(self.bits.take(24)?) << 24 | u64::from(self.bits.take(24)?);
            let sum = self.bits.take(32)?;
            match magic {
                0x3141_5926_5359 => {
                    self.block = block(&mut self.bits, level)?;
                    self.at = 0;
                    if crc(&self.block) != sum {
                        return Err(bad("the sum of a block is another one"));
                    }
                    self.sum = self.sum.rotate_left(1) ^ sum;
                    return Ok(true);
                }
                0x1772_4538_5090 if sum == self.sum => self.level = None,
                0x1772_4538_5090 => return Err(bad("the sum of the stream is another one")),
                _ => return Err(bad("neither a block nor an end")),
            }
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut left = self.block.get(self.at..).unwrap_or_default();
            if !left.is_empty() || buffer.is_empty() {
                let count = left.read(buffer)?;
                self.at += count;
                return Ok(count);
            }
            if !self.next()? {
                return Ok(0);
            }
        }
    }
}

/// One block, decoded.
fn block<R: Read>(bits: &mut Bits<R>, level: usize) -> io::Result<Vec<u8>> {
    if bits.take(1)? != 0 {
        return Err(bad("a randomised block, which only the oldest versions made"));
    }
    let origin = bits.number(24)?;
    let used = used(bits)?;
    let last = u16::try_from(used.len() + 1).unwrap_or(0);
    let (selectors, tables) = tables(bits, used.len() + 2)?;
    let mut order = used;
    let mut sorted: Vec<u8> = Vec::with_capacity(level);
    let (mut run, mut weight) = (0usize, 1usize);
    let mut left = 0;
    let mut groups = selectors.iter();
    let mut table = None;
    loop {
        if left == 0 {
            let chosen = groups.next().ok_or_else(|| bad("more symbols than tables for them"))?;
            table = tables.get(usize::from(*chosen));
            left = GROUP;
        }
        left -= 1;
        let symbol = table.ok_or_else(|| bad("a table that is none"))?.read(bits)?;
        if symbol <= 1 {
            // Digits of a count, in a system whose digits are one and two.
            run += weight << symbol;
            weight <<= 1;
            if run > level {
                return Err(bad("a block that is too long"));
            }
            continue;
        }
        if run > 0 {
            let byte = order.first().copied().unwrap_or(0);
            if run > level - sorted.len() {
                return Err(bad("a block that is too long"));
            }
            sorted.resize(sorted.len() + run, byte);
            (run, weight) = (0, 1);
        }
        if symbol == last {
            break;
        }
        let place = usize::from(symbol - 1);
        let front = order.get_mut(..=place).ok_or_else(|| bad("a symbol that is none"))?;
        front.rotate_right(1);
        let byte = front.first().copied().unwrap_or(0);
        if sorted.len() >= level {
            return Err(bad("a block that is too long"));
        }
        sorted.push(byte);
    }
    unrun(&unsorted(&sorted, origin)?)
}

/// The bytes that occur.
fn used<R: Read>(bits: &mut Bits<R>) -> io::Result<Vec<u8>> {
    let ranges = bits.take(16)?;
    let mut used = Vec::new();
    for range in 0u8..16 {
        if ranges & (0x8000 >> range) == 0 {
            continue;
        }
        let bytes = bits.take(16)?;
        used.extend(
            (0u8..16).filter(|byte| bytes & (0x8000 >> byte) != 0).map(|byte| range * 16 + byte),
        );
    }
    if used.is_empty() { Err(bad("a block without bytes")) } else { Ok(used) }
}

/// Which table is used for each group of symbols, and the tables.
fn tables<R: Read>(bits: &mut Bits<R>, symbols: usize) -> io::Result<(Vec<u8>, Vec<Table>)> {
    let count = bits.number(3)?;
    let groups = bits.number(15)?;
    if !(2..=6).contains(&count) || groups == 0 {
        return Err(bad("a block without tables"));
    }
    let mut order: Vec<u8> = (0..6).collect();
    let mut selectors = Vec::with_capacity(groups);
    for _ in 0..groups {
        let mut place = 0;
        while bits.take(1)? == 1 {
            place += 1;
        }
        let front = order.get_mut(..=place).filter(|_| place < count);
        let front = front.ok_or_else(|| bad("a table that is none"))?;
        front.rotate_right(1);
        selectors.push(front.first().copied().unwrap_or(0));
    }
    let mut tables = Vec::with_capacity(count);
    for _ in 0..count {
        let mut length = bits.take(5)?;
        let mut lengths = Vec::with_capacity(symbols);
        for _ in 0..symbols {
            loop {
                if !(1..=20).contains(&length) {
                    return Err(bad("a code of an impossible length"));
                }
                if bits.take(1)? == 0 {
                    break;
                }
                length = if bits.take(1)? == 0 { length + 1 } else { length - 1 };
            }
            lengths.push(u8::try_from(length).unwrap_or(0));
        }
        tables.push(Table::of(&lengths));
    }
    Ok((selectors, tables))
}

/// Undoes the sorting of a block.
fn unsorted(sorted: &[u8], origin: usize) -> io::Result<Vec<u8>> {
    if origin >= sorted.len() {
        return Err(bad("a block that begins nowhere"));
    }
    let mut starts = [0u32; 256];
    for byte in sorted {
        if let Some(count) = starts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for count in &mut starts {
        (*count, sum) = (sum, sum + *count);
    }
    // Each entry: where the next one is, and its byte.
    let mut next = vec![0u32; sorted.len()];
    for (number, byte) in (0u32..).zip(sorted) {
        if let Some(start) = starts.get_mut(usize::from(*byte)) {
            if let Some(place) = usize::try_from(*start).ok().and_then(|at| next.get_mut(at)) {
                *place = number << 8;
            }
            *start += 1;
        }
    }
    for (entry, byte) in next.iter_mut().zip(sorted) {
        *entry |= u32::from(*byte);
    }
    let step = |at: u32| usize::try_from(at >> 8).ok().and_then(|at| next.get(at)).copied();
    let mut at = next.get(origin).copied().unwrap_or(0);
    let mut bytes = Vec::with_capacity(sorted.len());
    for _ in 0..sorted.len() {
        at = step(at).unwrap_or(0);
        let [byte, ..] = at.to_le_bytes();
        bytes.push(byte);
    }
    Ok(bytes)
}

/// Repeats what follows four equal bytes as often as the fifth says.
fn unrun(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut equal = 0;
    let mut before = None;
    for byte in bytes {
        if equal == 4 {
            made.resize(made.len() + usize::from(*byte), before.unwrap_or(0));
            (equal, before) = (0, None);
            continue;
        }
        equal = if before == Some(*byte) { equal + 1 } else { 1 };
        before = Some(*byte);
        made.push(*byte);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn packed(bytes: &[u8], level: &str) -> Vec<u8> {
        let mut command = Command::new("bzip2");
        let mut child = command
            .args(["-c", level])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Debian's package bzip2");
        let mut input = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let writing = std::thread::spawn(move || input.write_all(&bytes).unwrap());
        let output = child.wait_with_output().unwrap().stdout;
        writing.join().unwrap();
        output
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Decoder::new(bytes).read_to_end(&mut all)?;
        Ok(all)
    }

    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn what_bzip2_packed_is_read() {
        let text = "a line of text, and another one\n".repeat(20_000).into_bytes();
        let runs: Vec<u8> =
            (0u8..=255).flat_map(|byte| vec![byte; usize::from(byte) * 3]).collect();
        for bytes in [&b""[..], b"x", b"aaaa", b"aaaaa", &[0; 300], &text, &runs, &noise(250_000)] {
            for level in ["-1", "-9"] {
                let packed = packed(bytes, level);
                assert!(unpacked(&packed).unwrap() == bytes, "{} bytes, {level}", bytes.len());
                let twice = [&packed[..], &packed].concat();
                assert!(unpacked(&twice).unwrap() == [bytes, bytes].concat());
            }
        }
    }

    #[test]
    fn damage_is_noticed_and_never_more_than_an_error() {
        let text = "some words to be packed ".repeat(300).into_bytes();
        let whole = packed(&text, "-1");
        for length in 0..whole.len() {
            assert!(unpacked(&whole[..length]).is_err(), "cut at {length}");
        }
        for place in 4..whole.len() {
            for bit in [1, 0x10, 0x80] {
                let mut other = whole.clone();
                other[place] ^= bit;
                assert!(unpacked(&other).map_or(true, |bytes| bytes == text), "changed at {place}");
            }
        }
        assert!(unpacked(&[&whole[..], b"more"].concat()).is_err());
        let mut junk = b"BZh91AY&SY".to_vec();
        junk.extend(noise(5000));
        assert!(unpacked(&junk).is_err());
    }
}
