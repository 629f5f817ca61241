//! Pure: what the kernel says is there, and how that differs from what should be.

use super::encode::{element_key, element_value};
use super::plan::{Element, Table};
use naru_kernel::netlink::{Answer, attributes};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// After the netlink header comes one of four bytes.
const FIXED: usize = 4;

/// The bytes of an element: what it is found by, what it gives.
pub(super) type KeyValue = (Vec<u8>, Vec<u8>);

/// A table as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Listing {
    /// Chains: where packets enter, then the marks of their rules in order.
    pub(super) chains: BTreeMap<String, Vec<Vec<u8>>>,
    /// Maps with their elements: key and value.
    pub(super) maps: BTreeMap<String, BTreeSet<KeyValue>>,
}

/// How the table that is there differs from the one that should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// The whole table is gone.
    pub gone: bool,
    /// What should be there and is not: chains, maps, elements, as text.
    pub missing: Vec<String>,
    /// What is there and should not be.
    pub foreign: Vec<String>,
}

impl Drift {
    /// Whether all is as it should be.
    pub fn is_none(&self) -> bool {
        !self.gone && self.missing.is_empty() && self.foreign.is_empty()
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gone {
            return f.write_str("the whole table is gone");
        }
        let part = |word: &str, list: &[String]| match list {
            [] => None,
            [one] => Some(format!("{word}: {one}")),
            [one, rest @ ..] => Some(format!("{word}: {one} and {} more", rest.len())),
        };
        let parts = [part("missing", &self.missing), part("foreign", &self.foreign)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

/// The attributes of an answer.
pub(super) fn fields(answer: &Answer) -> impl Iterator<Item = (u16, &[u8])> {
    attributes(answer.body.get(FIXED..).unwrap_or_default())
}

/// The attribute of this type.
pub(super) fn field(answer: &Answer, kind: u16) -> Option<&[u8]> {
    fields(answer).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

fn inner(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A text that ends with a zero byte.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

/// A number of four bytes in the network's order.
pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

impl Listing {
    /// Takes in chains of a table.
    pub(super) fn add_chains(&mut self, table: &str, answers: &[Answer]) {
        for answer in answers {
            if field(answer, 1).map(text).as_deref() == Some(table) {
                let name = field(answer, 3).map(text).unwrap_or_default();
                let rules = self.chains.entry(name).or_default();
                // Where packets enter comes first.
                if let Some(hook) = field(answer, 4) {
                    let numbers = [inner(hook, 1), inner(hook, 2), field(answer, 5)];
                    let kind = text(field(answer, 7).unwrap_or_default());
                    let numbers = numbers.map(Option::unwrap_or_default).concat();
                    rules.insert(0, [numbers, kind.into_bytes()].concat());
                }
            }
        }
    }

    /// Takes in rules of a table.
    pub(super) fn add_rules(&mut self, table: &str, answers: &[Answer]) {
        for answer in answers {
            if field(answer, 1).map(text).as_deref() == Some(table) {
                let chain = field(answer, 2).map(text).unwrap_or_default();
                let mark = field(answer, 7).unwrap_or_default().to_vec();
                self.chains.entry(chain).or_default().push(mark);
            }
        }
    }

    /// Takes in the elements of a map.
    pub(super) fn add_elements(&mut self, map: &str, answers: &[Answer]) {
        let elements = self.maps.entry(map.to_owned()).or_default();
        for answer in answers {
            for (_, element) in attributes(field(answer, 3).unwrap_or_default()) {
                let key = inner(element, 1).and_then(|key| inner(key, 1)).unwrap_or_default();
                let data = inner(element, 2).unwrap_or_default();
                let value = match inner(data, 2).and_then(|verdict| inner(verdict, 2)) {
                    Some(chain) => text(chain).into_bytes(),
                    None => inner(data, 1).unwrap_or_default().to_vec(),
                };
                elements.insert((key.to_vec(), value));
            }
        }
    }

    /// Whether an element is there, whatever it leads to.
    pub(super) fn has(&self, map: &str, element: &Element) -> bool {
        let key = element_key(element);
        self.maps.get(map).is_some_and(|elements| elements.iter().any(|(found, _)| *found == key))
    }

    /// How this differs from what should be.
    pub(super) fn drift(&self, table: &Table) -> Drift {
        let mut drift = Drift::default();
        for chain in &table.chains {
            let should = super::mend::marks_of(chain);
            match self.chains.get(&chain.name) {
                None => drift.missing.push(format!("chain `{}`", chain.name)),
                Some(marks) if *marks == should => {}
                Some(_) => drift.missing.push(format!("rules of chain `{}`", chain.name)),
            }
        }
        for name in self.chains.keys() {
            if !table.chains.iter().any(|chain| chain.name == *name) {
                drift.foreign.push(format!("chain `{name}`"));
            }
        }
        for map in &table.maps {
            let Some(there) = self.maps.get(map.name) else {
                drift.missing.push(format!("map `{}`", map.name));
                continue;
            };
            let mut left: BTreeSet<&KeyValue> = there.iter().collect();
            for element in &map.elements {
                if !left.remove(&(element_key(element), element_value(element))) {
                    drift.missing.push(format!("`{element}` in map `{}`", map.name));
                }
            }
            for (key, value) in left {
                drift.foreign.push(format!("`{}` in map `{}`", hex(key, value), map.name));
            }
        }
        drift
    }
}

fn hex(key: &[u8], value: &[u8]) -> String {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{} : {}", text(key), text(value))
}
