//! Pure: a table, or changes of one, as nf_tables messages. Names and numbers are those of `linux/netfilter/nf_tables.h`.

use super::plan::{Base, Chain, Element, Hook, Map, MapKind, Part, Rule, Table};
use super::state::Proto;
use ipnet::IpNet;
use naru_kernel::netlink::{Message, flags};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub(super) const NFTABLES: u16 = 10;
pub(super) const NEW_TABLE: u16 = 0;
pub(super) const GET_TABLE: u16 = 1;
pub(super) const DEL_TABLE: u16 = 2;
pub(super) const NEW_CHAIN: u16 = 3;
pub(super) const GET_CHAIN: u16 = 4;
pub(super) const DEL_CHAIN: u16 = 5;
pub(super) const NEW_RULE: u16 = 6;
pub(super) const GET_RULE: u16 = 7;
pub(super) const DEL_RULE: u16 = 8;
pub(super) const NEW_SET: u16 = 9;
pub(super) const NEW_ELEMENT: u16 = 12;
pub(super) const GET_ELEMENT: u16 = 13;
pub(super) const DEL_ELEMENT: u16 = 14;

/// Family of the table: IPv4 and IPv6 together.
pub(super) const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const ACCEPT: i32 = 1;
const DROP: i32 = 0;
const JUMP: i32 = -3;
const RETURN: i32 = -5;

/// As many as fit into one attribute of 64 KiB with room to spare.
const ELEMENTS_PER_MESSAGE: usize = 256;

/// A message of nf_tables, for a table of family `inet`.
pub(super) fn message(kind: u16, flags: u16) -> Message {
    Message::new((NFTABLES << 8) | kind, flags).raw(&[INET, 0, 0, 0])
}

/// What makes the table as it is to be, whatever was there under its name: it is made (so that it can be removed),
/// removed and made again, and since a batch is one step for the kernel there is no moment between.
pub(super) fn replace(table: &Table) -> Vec<Message> {
    let mut messages =
        vec![new_table(&table.name), delete_table(&table.name), new_table(&table.name)];
    for (id, map) in (1..).zip(&table.maps) {
        messages.push(new_map(&table.name, map, id));
    }
    for chain in &table.chains {
        messages.push(new_chain(&table.name, chain));
    }
    for map in &table.maps {
        messages.extend(elements(&table.name, map.name, map.kind, &map.elements, NEW_ELEMENT));
    }
    for chain in &table.chains {
        messages.extend(chain.rules.iter().map(|rule| new_rule(&table.name, &chain.name, rule)));
    }
    messages
}

pub(super) fn new_table(table: &str) -> Message {
    message(NEW_TABLE, flags::CREATE).text(1, table).be32(2, 0)
}

pub(super) fn delete_table(table: &str) -> Message {
    message(DEL_TABLE, 0).text(1, table)
}

pub(super) fn new_chain(table: &str, chain: &Chain) -> Message {
    let message = message(NEW_CHAIN, flags::CREATE).text(1, table).text(3, &chain.name);
    message.with(chain.base, |message, base| {
        message
            .nest(4, |at| at.be32(1, hook(base.hook)).bytes(2, &base.priority.to_be_bytes()))
            .be32(5, POLICY_ACCEPT)
            .text(7, base.kind)
    })
}

const POLICY_ACCEPT: u32 = 1;

fn hook(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    }
}

/// Where packets enter a chain and what becomes of them at its end, as bytes to compare.
pub(super) fn base_mark(base: &Base) -> Vec<u8> {
    let numbers = [hook(base.hook), base.priority.cast_unsigned(), POLICY_ACCEPT];
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.extend_from_slice(base.kind.as_bytes());
    bytes
}

pub(super) fn delete_chain(table: &str, chain: &str) -> Message {
    message(DEL_CHAIN, 0).text(1, table).text(3, chain)
}

/// Removes all rules of a chain.
pub(super) fn flush_chain(table: &str, chain: &str) -> Message {
    message(DEL_RULE, 0).text(1, table).text(2, chain)
}

pub(super) fn new_rule(table: &str, chain: &str, rule: &Rule) -> Message {
    message(NEW_RULE, flags::CREATE | flags::APPEND)
        .text(1, table)
        .text(2, chain)
        .nest(4, |list| rule.iter().fold(list, part))
        .bytes(7, &mark(rule))
}

/// What a rule carries so that it is known again: its text, as a comment that `nft` does not show as one.
pub(super) fn mark(rule: &Rule) -> Vec<u8> {
    let texts = rule.iter().flat_map(|part| part.to_string().into_bytes().into_iter().chain([0]));
    let hash = super::rules::fnv1a(texts);
    // A type of userdata that `nft` has no use for, its length, its value.
    let mut bytes = vec![0x6e, 8];
    bytes.extend_from_slice(&hash.to_be_bytes());
    bytes
}

/// Elements to add or to remove, in as few messages as there can be.
pub(super) fn elements(
    table: &str,
    map: &str,
    kind: MapKind,
    list: &[Element],
    what: u16,
) -> Vec<Message> {
    let flags = if what == NEW_ELEMENT { flags::CREATE } else { 0 };
    list.chunks(ELEMENTS_PER_MESSAGE)
        .map(|chunk| {
            message(what, flags).text(1, table).text(2, map).nest(3, |all| {
                chunk.iter().fold(all, |all, element| {
                    all.nest(1, |one| {
                        let one = one.nest(1, |key| key.bytes(1, &element_key(element)));
                        if !kind.is_map() || what == DEL_ELEMENT {
                            return one;
                        }
                        one.nest(2, |data| match element {
                            Element::Jump(_, chain) => {
                                data.nest(2, |v| verdict(v, JUMP, Some(chain)))
                            }
                            _ => data.bytes(1, &element_value(element)),
                        })
                    })
                })
            })
        })
        .collect()
}

/// Removes the elements with these keys.
pub(super) fn remove_keys(table: &str, map: &str, keys: &[&[u8]]) -> Vec<Message> {
    keys.chunks(ELEMENTS_PER_MESSAGE)
        .map(|chunk| {
            message(DEL_ELEMENT, 0).text(1, table).text(2, map).nest(3, |all| {
                chunk.iter().fold(all, |all, key| {
                    all.nest(1, |one| one.nest(1, |inner| inner.bytes(1, key)))
                })
            })
        })
        .collect()
}

/// The bytes by which an element is found.
pub(super) fn element_key(element: &Element) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    match element {
        Element::Jump(interface, _) => key.extend_from_slice(&name16(interface)),
        Element::Host(host, proto, port, _) => {
            push_address(&mut key, *host);
            push_port(&mut key, proto.number(), *port);
        }
        Element::Any(proto, port, _)
        | Element::Address(proto, port, _)
        | Element::Port(proto, port, _) => push_port(&mut key, proto.number(), *port),
        Element::Link(from, to, proto, port) => {
            push_address(&mut key, *from);
            push_address(&mut key, *to);
            push_port(&mut key, proto.number(), *port);
        }
    }
    key
}

/// The bytes that an element gives: address and port, or the name of a chain.
pub(super) fn element_value(element: &Element) -> Vec<u8> {
    match element {
        Element::Jump(_, chain) => chain.as_bytes().to_vec(),
        Element::Host(_, _, _, to) | Element::Any(_, _, to) => socket_address(*to),
        Element::Address(_, _, to) => to.octets().to_vec(),
        Element::Port(_, _, to) => to.to_be_bytes().to_vec(),
        Element::Link(..) => Vec::new(),
    }
}

fn push_address(key: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => key.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => key.extend_from_slice(&address.octets()),
    }
}

fn push_port(key: &mut Vec<u8>, proto: u8, port: u16) {
    // Each part of a key fills whole registers of four bytes.
    key.extend_from_slice(&[proto, 0, 0, 0]);
    key.extend_from_slice(&port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
}

fn socket_address(to: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20);
    push_address(&mut bytes, to.ip());
    bytes.extend_from_slice(&to.port().to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

fn name16(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

fn new_map(table: &str, map: &Map, id: u32) -> Message {
    const IPV4_ADDR: u32 = 7;
    const IPV6_ADDR: u32 = 8;
    const INET_PROTO: u32 = 12;
    const INET_SERVICE: u32 = 13;
    const IFNAME: u32 = 41;
    const VERDICT: u32 = 0xffff_ff00;
    const IS_MAP: u32 = 8;
    // Types of the parts, six bits each, the first one highest.
    let concat = |types: &[u32]| types.iter().fold(0, |all, one| (all << 6) | one);
    let to4 = (concat(&[IPV4_ADDR, INET_SERVICE]), 8);
    let to6 = (concat(&[IPV6_ADDR, INET_SERVICE]), 20);
    let (key, length, gives): (u32, u32, Option<(u32, u32)>) = match map.kind {
        MapKind::Interfaces => (IFNAME, 16, Some((VERDICT, 0))),
        MapKind::Host4 => (concat(&[IPV4_ADDR, INET_PROTO, INET_SERVICE]), 12, Some(to4)),
        MapKind::Host6 => (concat(&[IPV6_ADDR, INET_PROTO, INET_SERVICE]), 24, Some(to6)),
        MapKind::Any4 => (concat(&[INET_PROTO, INET_SERVICE]), 8, Some(to4)),
        MapKind::Any6 => (concat(&[INET_PROTO, INET_SERVICE]), 8, Some(to6)),
        MapKind::Address6 => (concat(&[INET_PROTO, INET_SERVICE]), 8, Some((IPV6_ADDR, 16))),
        MapKind::Port => (concat(&[INET_PROTO, INET_SERVICE]), 8, Some((INET_SERVICE, 2))),
        MapKind::Links4 => (concat(&[IPV4_ADDR, IPV4_ADDR, INET_PROTO, INET_SERVICE]), 16, None),
        MapKind::Links6 => (concat(&[IPV6_ADDR, IPV6_ADDR, INET_PROTO, INET_SERVICE]), 40, None),
    };
    let map_flag = if gives.is_some() { IS_MAP } else { 0 };
    message(NEW_SET, flags::CREATE)
        .text(1, table)
        .text(2, map.name)
        .be32(3, map_flag)
        .be32(4, key)
        .be32(5, length)
        .with(gives, |message, (kind, length)| message.be32(6, kind).be32(7, length))
        .be32(10, id)
        .bytes(13, &byte_order(map.kind))
}

/// What `nft` needs to show keys: whether they are numbers of the machine or of the network.
fn byte_order(kind: MapKind) -> Vec<u8> {
    const KEY_BYTE_ORDER: u8 = 0;
    const OF_MACHINE: u32 = 1;
    const OF_NETWORK: u32 = 2;
    let order = if kind == MapKind::Interfaces { OF_MACHINE } else { OF_NETWORK };
    let mut bytes = vec![KEY_BYTE_ORDER, 4];
    bytes.extend_from_slice(&order.to_ne_bytes());
    bytes
}

fn verdict(message: Message, code: i32, chain: Option<&str>) -> Message {
    message.bytes(1, &code.to_be_bytes()).with(chain, |message, chain| message.text(2, chain))
}

/// Register number of the n-th four bytes.
fn register(word: u32) -> u32 {
    8 + word
}

fn expression(list: Message, name: &str, fill: impl FnOnce(Message) -> Message) -> Message {
    list.nest(1, |one| one.text(1, name).nest(2, fill))
}

fn meta(list: Message, key: u32, word: u32) -> Message {
    expression(list, "meta", |e| e.be32(2, key).be32(1, register(word)))
}

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

fn payload(list: Message, base: u32, offset: u32, length: u32, word: u32) -> Message {
    expression(list, "payload", |e| {
        e.be32(1, register(word)).be32(2, base).be32(3, offset).be32(4, length)
    })
}

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

fn compare(list: Message, operator: u32, value: &[u8]) -> Message {
    expression(list, "cmp", |e| {
        e.be32(1, register(0)).be32(2, operator).nest(3, |data| data.bytes(1, value))
    })
}

fn masked(list: Message, mask: &[u8]) -> Message {
    let length = u32::try_from(mask.len()).unwrap_or_default();
    let zero = vec![0; mask.len()];
    expression(list, "bitwise", |e| {
        e.be32(1, register(0))
            .be32(2, register(0))
            .be32(3, length)
            .nest(4, |data| data.bytes(1, mask))
            .nest(5, |data| data.bytes(1, &zero))
    })
}

const META_INTERFACE_IN: u32 = 6;
const META_INTERFACE_OUT: u32 = 7;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;

fn family(list: Message, v6: bool) -> Message {
    compare(meta(list, META_FAMILY, 0), EQUAL, &[if v6 { IPV6 } else { IPV4 }])
}

fn interface(list: Message, key: u32, operator: u32, name: &str) -> Message {
    compare(meta(list, key, 0), operator, &name16(name))
}

fn connection_bits(list: Message, key: u32, bits: u32) -> Message {
    let list = expression(list, "ct", |e| e.be32(2, key).be32(1, register(0)));
    compare(masked(list, &bits.to_ne_bytes()), DIFFERENT, &[0; 4])
}

/// Where addresses are in an IP header: offset of the source, of the destination, length, registers that one fills.
fn header(v6: bool) -> (u32, u32, u32, u32) {
    if v6 { (8, 24, 16, 4) } else { (12, 16, 4, 1) }
}

fn prefix(list: Message, offset: u32, net: &IpNet) -> Message {
    let v6 = super::plan::is_v6(net);
    let (_, _, length, _) = header(v6);
    let list = payload(family(list, v6), NETWORK_HEADER, offset, length, 0);
    let (mut address, mut mask) = (Vec::new(), Vec::new());
    push_address(&mut address, net.network());
    push_address(&mut mask, net.netmask());
    let list = if net.prefix_len() < net.max_prefix_len() { masked(list, &mask) } else { list };
    compare(list, EQUAL, &address)
}

/// Protocol and destination port into registers, from this one on.
fn proto_and_port(list: Message, word: u32) -> Message {
    payload(meta(list, META_PROTOCOL, word), TRANSPORT_HEADER, 2, 2, word + 1)
}

fn lookup(list: Message, map: &str, to: Option<u32>) -> Message {
    expression(list, "lookup", |e| {
        e.text(1, map).be32(2, register(0)).with(to, |e, to| e.be32(3, to))
    })
}

const SNAT: u32 = 0;
const DNAT: u32 = 1;

/// Destination becomes the address and port in the registers.
fn translate(list: Message, v6: bool) -> Message {
    let (_, _, _, words) = header(v6);
    let family = if v6 { IPV6 } else { IPV4 };
    expression(list, "nat", |e| {
        e.be32(1, DNAT)
            .be32(2, u32::from(family))
            .be32(3, register(0))
            .be32(4, register(0))
            .be32(5, register(words))
            .be32(6, register(words))
    })
}

fn immediate(list: Message, code: i32, chain: Option<&str>) -> Message {
    expression(list, "immediate", |e| {
        e.be32(1, 0).nest(2, |data| data.nest(2, |v| verdict(v, code, chain)))
    })
}

/// Appends a part of a rule to the list of its expressions.
fn part(list: Message, part: &Part) -> Message {
    match part {
        Part::From(name) => interface(list, META_INTERFACE_IN, EQUAL, name),
        Part::NotTo(name) => interface(list, META_INTERFACE_OUT, DIFFERENT, name),
        // Register 0 of the kernel's numbers is the verdict.
        Part::FromMap(map) => lookup(meta(list, META_INTERFACE_IN, 0), map, Some(0)),
        Part::ToMap(map) => lookup(meta(list, META_INTERFACE_OUT, 0), map, Some(0)),
        Part::ForHost => {
            const DESTINATION: u32 = 2;
            const ADDRESS_TYPE: u32 = 3;
            const LOCAL: u32 = 2;
            let list = expression(list, "fib", |e| {
                e.be32(3, DESTINATION).be32(2, ADDRESS_TYPE).be32(1, register(0))
            });
            compare(list, EQUAL, &LOCAL.to_ne_bytes())
        }
        Part::Known => connection_bits(list, 0, 2 | 4),
        Part::Translated => connection_bits(list, 2, 1 << 5),
        Part::Source(net) => prefix(list, header(super::plan::is_v6(net)).0, net),
        Part::Destination(net) => prefix(list, header(super::plan::is_v6(net)).1, net),
        Part::Linked(set, v6) => {
            let (source, destination, length, words) = header(*v6);
            let list = payload(family(list, *v6), NETWORK_HEADER, source, length, 0);
            let list = payload(list, NETWORK_HEADER, destination, length, words);
            lookup(proto_and_port(list, 2 * words), set, None)
        }
        Part::TranslateHost(map, v6) => {
            let (_, destination, length, words) = header(*v6);
            let list = payload(family(list, *v6), NETWORK_HEADER, destination, length, 0);
            let list = lookup(proto_and_port(list, words), map, Some(register(0)));
            translate(list, *v6)
        }
        Part::TranslateAny(map, v6) => {
            let list = proto_and_port(family(list, *v6), 0);
            translate(lookup(list, map, Some(register(0))), *v6)
        }
        Part::Of(proto) => compare(meta(list, META_PROTOCOL, 0), EQUAL, &[proto.number()]),
        Part::Answer => {
            const DIRECTION: u32 = 1;
            let list = expression(list, "ct", |e| e.be32(2, DIRECTION).be32(1, register(0)));
            compare(list, EQUAL, &[1])
        }
        Part::DestinationBy(map, _) => {
            write_address(lookup(proto_and_port(list, 0), map, Some(register(0))), DESTINATION, 0)
        }
        Part::SourceBy(map, _) => {
            write_address(lookup(proto_and_port(list, 0), map, Some(register(0))), SOURCE, 0)
        }
        Part::PortBy(map, proto) => {
            write_port(lookup(proto_and_port(list, 0), map, Some(register(0))), *proto, 2, 0)
        }
        Part::ReturnToLoopback(proto) => return_to_loopback(list, *proto),
        Part::Masquerade => expression(list, "masq", |e| e),
        Part::SourceBecomes(address) => {
            let mut bytes = Vec::new();
            push_address(&mut bytes, *address);
            let family = if address.is_ipv6() { IPV6 } else { IPV4 };
            let list = expression(list, "immediate", |e| {
                e.be32(1, register(0)).nest(2, |data| data.bytes(1, &bytes))
            });
            expression(list, "nat", |e| {
                e.be32(1, SNAT).be32(2, u32::from(family)).be32(3, register(0)).be32(4, register(0))
            })
        }
        Part::Jump(chain) => immediate(list, JUMP, Some(chain)),
        Part::Return => immediate(list, RETURN, None),
        Part::Accept => immediate(list, ACCEPT, None),
        Part::Drop => immediate(list, DROP, None),
    }
}

const SOURCE: u32 = 8;
const DESTINATION: u32 = 24;

/// Writes an address into the IPv6 header; the checksum of what is in the packet counts it.
fn write_address(list: Message, offset: u32, word: u32) -> Message {
    const PSEUDO_HEADER: u32 = 1;
    expression(list, "payload", |e| {
        e.be32(5, register(word))
            .be32(2, NETWORK_HEADER)
            .be32(3, offset)
            .be32(4, 16)
            .be32(6, 0)
            .be32(7, 0)
            .be32(8, PSEUDO_HEADER)
    })
}

/// Writes a port.
fn write_port(list: Message, proto: Proto, offset: u32, word: u32) -> Message {
    const INTERNET_CHECKSUM: u32 = 1;
    let checksum = if proto == Proto::Udp { 6 } else { 16 };
    expression(list, "payload", |e| {
        e.be32(5, register(word))
            .be32(2, TRANSPORT_HEADER)
            .be32(3, offset)
            .be32(4, 2)
            .be32(6, INTERNET_CHECKSUM)
            .be32(7, checksum)
            .be32(8, 0)
    })
}

fn set_register(list: Message, word: u32, bytes: &[u8]) -> Message {
    expression(list, "immediate", |e| {
        e.be32(1, register(word)).nest(2, |data| data.bytes(1, bytes))
    })
}

fn return_to_loopback(list: Message, proto: Proto) -> Message {
    let list = payload(list, NETWORK_HEADER, DESTINATION + 14, 2, 0);
    let list = write_port(list, proto, 0, 0);
    let list = set_register(list, 4, &Ipv6Addr::LOCALHOST.octets());
    write_address(write_address(list, SOURCE, 4), DESTINATION, 4)
}
