//! Acts: hears of changes of links.

use super::{LinkError, read, wire};
use naru_kernel::netlink::{self, Answer, Netlink};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What happened to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is there, or is different from before.
    Present {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
        /// Whether it is up.
        up: bool,
        /// The bridge that it is a port of.
        master: Option<u32>,
    },
    /// It is gone, or went to another namespace.
    Gone {
        /// Its index.
        index: u32,
        /// The name it had.
        name: String,
    },
    /// There was too much to tell. What is there must be listed again.
    Lost,
}

/// Hears of changes of the links of one network namespace: the one in which it was opened.
#[derive(Debug)]
pub struct Watch {
    socket: Netlink,
}

impl Watch {
    /// Begins to listen; what happens from now on is heard.
    pub fn open() -> Result<Watch, LinkError> {
        let socket = Netlink::listen(netlink::ROUTE, &[1])
            .map_err(|error| LinkError::new("listen for changes of interfaces", error))?;
        Ok(Watch { socket })
    }

    /// Waits for the next changes.
    pub fn wait(&mut self) -> Result<Vec<Change>, LinkError> {
        let heard = self.socket.hear();
        changes(heard)
    }

    /// The changes that were not taken yet; none when there are none. To be called when the descriptor is readable.
    pub fn take(&mut self) -> Result<Vec<Change>, LinkError> {
        match self.socket.try_hear() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            heard => changes(heard),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn changes(heard: io::Result<Vec<Answer>>) -> Result<Vec<Change>, LinkError> {
    match heard {
        Ok(answers) => Ok(answers.iter().filter_map(change).collect()),
        Err(error) if error.raw_os_error() == Some(wire::ENOBUFS) => Ok(vec![Change::Lost]),
        Err(error) => Err(LinkError::new("hear of changes of interfaces", error)),
    }
}

fn change(answer: &Answer) -> Option<Change> {
    let link = read::link(&answer.body)?;
    match answer.kind {
        wire::RTM_NEWLINK => Some(Change::Present {
            index: link.index,
            name: link.name,
            up: link.up,
            master: link.master,
        }),
        wire::RTM_DELLINK => Some(Change::Gone { index: link.index, name: link.name }),
        _ => None,
    }
}
