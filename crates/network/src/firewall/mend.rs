//! Pure: the smallest change from the table that is there to the one that should be.
//!
//! A table that is replaced as a whole has an instant in which packets on their way through the old rules look into maps
//! whose elements do not count any more: the kernel reads the generation anew for each look-up. So what is right already
//! is not touched, and packets that it concerns notice nothing.

use super::encode::{self, base_mark, element_key, element_value, mark};
use super::listing::{KeyValue, Listing};
use super::plan::{Chain, Element, Table};
use naru_kernel::netlink::Message;
use std::collections::BTreeSet;

/// The messages that make `table` of what is there; `None` when that takes a new table, because a map or an entrance of
/// packets is missing or another one.
pub(super) fn mend(there: &Listing, table: &Table) -> Option<Vec<Message>> {
    let name = table.name.as_str();
    let (mut chains, mut rules) = (Vec::new(), Vec::new());
    for chain in &table.chains {
        match there.chains.get(&chain.name) {
            Some(marks) if *marks == marks_of(chain) => {}
            Some(marks) => {
                let entrance = chain.base.map(|base| base_mark(&base));
                if entrance.is_some() && entrance.as_ref() != marks.first() {
                    return None;
                }
                rules.push(encode::flush_chain(name, &chain.name));
                rules.extend(
                    chain.rules.iter().map(|rule| encode::new_rule(name, &chain.name, rule)),
                );
            }
            None if chain.base.is_some() => return None,
            None => {
                chains.push(encode::new_chain(name, chain));
                rules.extend(
                    chain.rules.iter().map(|rule| encode::new_rule(name, &chain.name, rule)),
                );
            }
        }
    }
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for map in &table.maps {
        let mut left: BTreeSet<&KeyValue> = there.maps.get(map.name)?.iter().collect();
        let missing: Vec<Element> = map
            .elements
            .iter()
            .filter(|element| !left.remove(&(element_key(element), element_value(element))))
            .cloned()
            .collect();
        let keys: Vec<&[u8]> = left.iter().map(|(key, _)| key.as_slice()).collect();
        removed.extend(encode::remove_keys(name, map.name, &keys));
        added.extend(encode::elements(name, map.name, map.kind, &missing, encode::NEW_ELEMENT));
    }
    let wanted: BTreeSet<&str> = table.chains.iter().map(|chain| chain.name.as_str()).collect();
    let foreign: Vec<&String> =
        there.chains.keys().filter(|chain| !wanted.contains(chain.as_str())).collect();
    // What is jumped to must be there first, and nothing may lead to what goes.
    let mut messages = chains;
    messages.extend(rules);
    messages.extend(removed);
    messages.extend(added);
    messages.extend(foreign.iter().map(|chain| encode::flush_chain(name, chain)));
    messages.extend(foreign.iter().map(|chain| encode::delete_chain(name, chain)));
    Some(messages)
}

/// A chain as a listing shows it.
pub(super) fn marks_of(chain: &Chain) -> Vec<Vec<u8>> {
    chain
        .base
        .map(|base| base_mark(&base))
        .into_iter()
        .chain(chain.rules.iter().map(mark))
        .collect()
}
