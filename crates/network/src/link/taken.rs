//! Acts: which subnets the host uses beside our own, remembered until somebody changes its routes or addresses.
//!
//! Of the routes of a host with many networks most are ours. Were all of them listed for each new network, the last one
//! would cost many times of what the first did.

use super::{LinkError, Links, address, is_local, route, wire};
use ipnet::IpNet;
use naru_kernel::netlink::{self, Answer, Netlink};
use std::io;

/// IPv4 addresses, IPv4 routes, IPv6 addresses, IPv6 routes.
const GROUPS: [u32; 4] = [5, 7, 9, 11];

/// The subnets that the host uses beside our own.
#[derive(Debug, Default)]
pub struct HostSubnets {
    news: Option<Netlink>,
    known: Option<Vec<IpNet>>,
}

impl HostSubnets {
    /// The subnets that the host of these links uses, without those that lie within `own`.
    pub fn beside(&mut self, links: &Links, own: &[IpNet]) -> Result<Vec<IpNet>, LinkError> {
        let is_foreign = |net: &IpNet| !own.iter().any(|own| own.contains(net));
        match &mut self.news {
            None => {
                // What changes while they are listed is heard next time.
                let news = Netlink::listen(netlink::ROUTE, &GROUPS)
                    .map_err(|error| LinkError::new("listen for changes of routes", error))?;
                self.news = Some(news);
                self.known = None;
            }
            Some(news) => {
                if is_changed(news, is_foreign) {
                    self.known = None;
                }
            }
        }
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let mut known = links.taken()?;
        known.retain(is_foreign);
        self.known = Some(known.clone());
        Ok(known)
    }
}

/// Whether the news that were not taken yet are of subnets that are not ours, or may be.
fn is_changed(news: &mut Netlink, is_foreign: impl Fn(&IpNet) -> bool) -> bool {
    let mut changed = false;
    loop {
        match news.try_hear() {
            Ok(answers) => changed |= answers.iter().filter_map(subnet).any(|net| is_foreign(&net)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return changed,
            // More than there was room for is over with this; anything else is not, and is met when they are listed.
            Err(error) if error.raw_os_error() == Some(wire::ENOBUFS) => changed = true,
            Err(_unreadable) => return true,
        }
    }
}

/// The subnet that news are of.
fn subnet(answer: &Answer) -> Option<IpNet> {
    let net = match answer.kind {
        wire::RTM_NEWROUTE | wire::RTM_DELROUTE => route::read(&answer.body)?.destination,
        wire::RTM_NEWADDR | wire::RTM_DELADDR => address::read(&answer.body)?.1.trunc(),
        _ => return None,
    };
    (net.prefix_len() > 0 && !is_local(&net)).then_some(net)
}
