//! Acts: hears of changes of our table by others.
//!
//! The kernel ends what one process changed in one step with a message of its own, the new generation; all of them carry
//! the port of the socket that asked for the change.

use super::encode::NFTABLES;
use super::listing::{field, text};
use naru_kernel::netlink::{self, Answer, Netlink};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

const GROUP: u32 = 7;
const NEW_GENERATION: u16 = (NFTABLES << 8) | 15;

/// Hears of changes of one table that its [`super::Firewall`] did not make.
#[derive(Debug)]
pub struct Watch {
    netlink: Netlink,
    table: String,
    own_port: u32,
    touched: bool,
}

impl Watch {
    pub(super) fn open(table: &str, own_port: u32) -> io::Result<Watch> {
        let netlink = Netlink::listen(netlink::NETFILTER, &[GROUP])?;
        Ok(Watch { netlink, table: table.to_owned(), own_port, touched: false })
    }

    /// Waits until somebody else changed the table, or may have.
    pub fn wait(&mut self) -> io::Result<()> {
        loop {
            let news = self.netlink.hear_of(true);
            if self.take(news)? {
                return Ok(());
            }
        }
    }

    /// Whether somebody else changed the table, or may have, since the last call. For who polls [`Watch::as_fd`].
    pub fn is_touched(&mut self) -> io::Result<bool> {
        let mut touched = false;
        loop {
            let news = self.netlink.hear_of(false);
            if matches!(&news, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return Ok(touched);
            }
            touched |= self.take(news)?;
        }
    }

    /// Takes in news and says whether they end with a change of the table by somebody else.
    fn take(&mut self, news: io::Result<Vec<(u32, Answer)>>) -> io::Result<bool> {
        let news = match news {
            // More happened than there was room for: it may have been about us.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => return Ok(true),
            news => news?,
        };
        let mut by_others = false;
        for (port, answer) in &news {
            if answer.kind == NEW_GENERATION {
                by_others |= self.touched && *port != self.own_port;
                self.touched = false;
            } else {
                self.touched |= field(answer, 1).map(text).as_deref() == Some(&self.table);
            }
        }
        Ok(by_others)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}
