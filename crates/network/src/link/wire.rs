//! Pure: the numbers and fixed parts of the kernel's messages about links, addresses and routes
//! (`linux/rtnetlink.h`, `if_link.h`, `if_addr.h`, `if_bridge.h`).

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_SETLINK: u16 = 19;
pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
pub(super) const RTM_GETADDR: u16 = 22;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_GETROUTE: u16 = 26;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_OPERSTATE: u16 = 16;
pub(super) const OPER_UNKNOWN: u8 = 0;
pub(super) const OPER_UP: u8 = 6;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_STATS64: u16 = 23;
pub(super) const IFLA_AF_SPEC: u16 = 26;
pub(super) const IFLA_GROUP: u16 = 27;
/// The group of links that are about to be removed ("nrem"); nobody else's by its odd number.
pub(super) const LEAVING: u32 = 0x6e72_656d;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
pub(super) const IFLA_EXT_MASK: u16 = 29;
pub(super) const IFLA_NUM_TX_QUEUES: u16 = 31;
pub(super) const IFLA_NUM_RX_QUEUES: u16 = 32;

pub(super) const INFO_KIND: u16 = 1;
pub(super) const INFO_DATA: u16 = 2;
pub(super) const INFO_SLAVE_KIND: u16 = 4;
pub(super) const INFO_SLAVE_DATA: u16 = 5;
pub(super) const BRPORT_STATE: u16 = 1;
pub(super) const BRPORT_HAIRPIN: u16 = 4;
pub(super) const BRPORT_ISOLATED: u16 = 33;
pub(super) const BRPORT_FORWARDING: u8 = 3;
pub(super) const BR_FORWARD_DELAY: u16 = 1;
pub(super) const BR_STP_STATE: u16 = 5;
pub(super) const VETH_PEER: u16 = 1;
pub(super) const MACVLAN_MODE: u16 = 1;
pub(super) const IPVLAN_MODE: u16 = 1;
pub(super) const VLAN_ID: u16 = 1;
pub(super) const INET6_ADDR_GEN_MODE: u16 = 8;
pub(super) const NO_GENERATED_ADDRESS: u8 = 1;
/// Statistics are a third of what the kernel says of a link.
pub(super) const SKIP_STATISTICS: u32 = 8;

pub(super) const IFA_ADDRESS: u16 = 1;
pub(super) const IFA_LOCAL: u16 = 2;
pub(super) const IFA_BROADCAST: u16 = 4;
pub(super) const IFA_FLAGS: u16 = 8;
pub(super) const NO_DUPLICATE_DETECTION: u32 = 2;

pub(super) const RTA_DST: u16 = 1;
pub(super) const RTA_OIF: u16 = 4;
pub(super) const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_TABLE: u16 = 15;
pub(super) const MAIN_TABLE: u32 = 254;
pub(super) const LOCAL_TABLE: u32 = 255;
pub(super) const BY_STATIC: u8 = 4;
pub(super) const UNICAST: u8 = 1;
pub(super) const SCOPE_LINK: u8 = 253;
pub(super) const ON_LINK: u32 = 4;

pub(super) const AF_BRIDGE: u8 = 7;
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;

pub(super) const ENODEV: i32 = 19;
pub(super) const ENOENT: i32 = 2;
pub(super) const ESRCH: i32 = 3;
pub(super) const EEXIST: i32 = 17;
pub(super) const EADDRNOTAVAIL: i32 = 99;
pub(super) const ENOBUFS: i32 = 105;

pub(super) const IFF_UP: u32 = 1;
pub(super) const IFF_LOOPBACK: u32 = 8;

pub(super) const IFINFO_LENGTH: usize = 16;
pub(super) const IFADDR_LENGTH: usize = 8;
pub(super) const ROUTE_LENGTH: usize = 12;

/// Which flags of a link change, and to what.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    flags: u32,
    mask: u32,
}

impl Changes {
    pub(crate) fn up() -> Changes {
        Changes { flags: IFF_UP, mask: IFF_UP }
    }

    pub(crate) fn down() -> Changes {
        Changes { flags: 0, mask: IFF_UP }
    }
}

/// What messages about a link begin with. Index 0: the link is named by an attribute, or new.
pub(crate) fn ifinfo(index: u32, changes: Changes) -> [u8; IFINFO_LENGTH] {
    let mut bytes = [0; IFINFO_LENGTH];
    let (head, tail) = bytes.split_at_mut(4);
    head.fill(0);
    let fields = [index, changes.flags, changes.mask];
    for (to, from) in tail.chunks_exact_mut(4).zip(fields) {
        to.copy_from_slice(&from.to_ne_bytes());
    }
    bytes
}

pub(crate) fn read_u8(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_ne_bytes)
}

/// A text that ends with a zero byte.
pub(crate) fn read_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
