//! Acts: finds the objects of a pack, and names each.

use super::input::{Inflater, Input};
use super::{Entry, Form, ObjectKind, Pack, PackError, cancelled};
use crate::oid::{Oid, Sha1};
use std::sync::atomic::AtomicBool;

/// How many differences may stand one upon the other: as many as `git` makes.
pub(super) const DEEPEST: u16 = 4095;
/// Bytes before the first object.
const HEAD: u64 = 12;

impl Pack {
    /// Finds and names all objects.
    pub(super) fn scan(&mut self, flag: &AtomicBool) -> Result<(), PackError> {
        self.find(flag)?;
        self.name(flag)?;
        self.cache = super::Cache::default();
        self.named = (0..).zip(&self.entries).filter_map(|(n, e)| Some((e.oid?, n))).collect();
        self.named.sort_unstable();
        if self.named.len() < self.entries.len() {
            return Err(PackError::Damaged("a difference to an object that is not in it"));
        }
        Ok(())
    }

    /// Goes through the file once: where objects begin, and what those are called that are whole.
    fn find(&mut self, flag: &AtomicBool) -> Result<(), PackError> {
        let mut head = [0; 12];
        let file = self.file.try_clone().map_err(PackError::Read)?;
        let mut input = Input::new(&file, 0, self.end);
        for byte in &mut head {
            *byte = input.byte()?;
        }
        let [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, a, b, c, d] = head else {
            return Err(PackError::Damaged("it is none"));
        };
        let count = u32::from_be_bytes([a, b, c, d]);
        if usize::try_from(count).unwrap_or(usize::MAX) > self.limits.objects {
            return Err(PackError::TooLarge("its pack has too many objects"));
        }
        let mut starts: Vec<u64> = Vec::new();
        let mut inflater = Inflater::new();
        for _ in 0..count {
            cancelled(flag)?;
            let start = input.place();
            let (kind, size) = head_of(&mut input)?;
            let mut form = match kind {
                6 => Form::Delta(base(&starts, start, &mut input)?),
                7 => Form::DeltaOf(name(&mut input)?),
                whole => match ObjectKind::of_number(whole) {
                    Some(kind) => Form::Whole(kind),
                    None => return Err(PackError::Damaged("an object of an unknown kind")),
                },
            };
            if size > self.limits.object {
                return Err(PackError::TooLarge("one of its files"));
            }
            self.spend(size)?;
            let data = input.place();
            let mut sha1 = match form {
                Form::Whole(kind) => Some(Sha1::of_object(kind.as_str(), size)),
                Form::Delta(_) | Form::DeltaOf(_) => None,
            };
            inflater.run(&mut input, size, &mut |piece| {
                if let Some(sha1) = &mut sha1 {
                    sha1.update(piece);
                }
            })?;
            if let Form::Delta(at) = &mut form
                && usize::try_from(*at).is_ok_and(|at| at >= self.entries.len())
            {
                return Err(PackError::Damaged("a difference to itself"));
            }
            starts.push(start);
            self.entries.push(Entry { data, size, form, oid: sha1.map(Sha1::finish), depth: 0 });
        }
        if input.place() != self.end {
            return Err(PackError::Damaged("something follows its last object"));
        }
        Ok(())
    }

    /// Puts together what are differences, each after what it is a difference to.
    fn name(&mut self, flag: &AtomicBool) -> Result<(), PackError> {
        let mut by_place: Vec<(u32, u32)> = Vec::new();
        let mut by_name: Vec<(Oid, u32)> = Vec::new();
        let mut ready: Vec<u32> = Vec::new();
        for (number, entry) in (0u32..).zip(&self.entries) {
            match entry.form {
                Form::Whole(_) => ready.push(number),
                Form::Delta(base) => by_place.push((base, number)),
                Form::DeltaOf(oid) => by_name.push((oid, number)),
            }
        }
        by_place.sort_unstable();
        by_name.sort_unstable();
        while let Some(number) = ready.pop() {
            let base = self.entry(number)?;
            let Some(oid) = base.oid else { continue };
            let first = by_place.partition_point(|(base, _)| *base < number);
            let here = by_place.iter().skip(first).take_while(|(base, _)| *base == number);
            let mut children: Vec<u32> = here.map(|(_, child)| *child).collect();
            let first = by_name.partition_point(|(name, _)| *name < oid);
            let here = by_name.iter().skip(first).take_while(|(name, _)| *name == oid);
            children.extend(here.map(|(_, child)| *child));
            for child in children {
                cancelled(flag)?;
                if base.depth >= DEEPEST {
                    return Err(PackError::TooLarge("its differences are too deep"));
                }
                let at = usize::try_from(child).unwrap_or(usize::MAX);
                // A name may stand for two objects of a pack; the first one is enough.
                match self.entries.get_mut(at) {
                    Some(entry) if entry.oid.is_none() => {
                        entry.form = Form::Delta(number);
                        entry.depth = base.depth + 1;
                    }
                    Some(_) | None => continue,
                }
                let (kind, bytes) = self.whole(child)?;
                let mut sha1 = Sha1::of_object(kind.as_str(), bytes.len() as u64);
                sha1.update(&bytes);
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.oid = Some(sha1.finish());
                }
                ready.push(child);
            }
        }
        Ok(())
    }
}

/// Kind and size in front of an object.
fn head_of(input: &mut Input<'_>) -> Result<(u8, u64), PackError> {
    let first = input.byte()?;
    let mut size = u64::from(first & 0x0f);
    let mut more = first & 0x80 != 0;
    let mut shift = 4;
    while more {
        let byte = input.byte()?;
        if shift > 56 {
            return Err(PackError::Damaged("an object of an impossible size"));
        }
        size |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        more = byte & 0x80 != 0;
    }
    Ok(((first >> 4) & 7, size))
}

/// The entry that is so many bytes before.
fn base(starts: &[u64], start: u64, input: &mut Input<'_>) -> Result<u32, PackError> {
    const BAD: PackError = PackError::Damaged("a difference to nothing");
    let mut byte = input.byte()?;
    let mut back = u64::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = input.byte()?;
        let more = back.checked_add(1).and_then(|back| back.checked_mul(128)).ok_or(BAD)?;
        back = more | u64::from(byte & 0x7f);
    }
    let place = start.checked_sub(back).filter(|place| *place >= HEAD).ok_or(BAD)?;
    let number = starts.binary_search(&place).map_err(|_none| BAD)?;
    u32::try_from(number).map_err(|_large| BAD)
}

fn name(input: &mut Input<'_>) -> Result<Oid, PackError> {
    let mut bytes = [0; 20];
    for byte in &mut bytes {
        *byte = input.byte()?;
    }
    Ok(Oid(bytes))
}
