//! Interfaces and their addresses, as rtnetlink shows and takes them.
use super::message::{Attributes, CREATE, Message, word};
use super::socket::Socket;
use rustix::io::Errno;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// `IFF_UP`.
pub(super) const UP: u32 = 0x1;
/// `IFF_LOOPBACK`.
pub(super) const LOOPBACK: u32 = 0x8;

/// `RTM_NEWLINK`.
pub(super) const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// `IFLA_IFNAME`.
pub(super) const LINK_NAME: u16 = 3;
const LINK_NAMESPACE: u16 = 28;

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const LIFETIMES: u16 = 6;
const FLAGS: u16 = 8;
const PRIORITY: u16 = 9;

const PERMANENT: u32 = 0x80;
/// Flags that a request may set: nodad, home address, managetempaddr, noprefixroute, automatic join of multicast groups.
const SETTABLE: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
/// `RT_SCOPE_UNIVERSE`.
const GLOBAL: u8 = 0;

const INET: u8 = 2;
const INET6: u8 = 10;

/// Size of `struct ifinfomsg`.
const LINK_FIXED: usize = 16;
/// Size of `struct ifaddrmsg`.
const ADDRESS_FIXED: usize = 8;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Number in its network namespace.
    pub(super) index: u32,
    /// The kernel's name, which may be another than the alternative name it was found by.
    pub(super) name: String,
    /// `IFF_*`.
    pub(super) flags: u32,
}

impl Link {
    /// The interface of this name (or alternative name), if there is one.
    pub(super) fn by_name(socket: &mut Socket, name: &str) -> Result<Option<Link>, Errno> {
        Link::get(socket, 0, Some(name))
    }

    /// The interface of this number, if there is one.
    pub(super) fn by_index(socket: &mut Socket, index: u32) -> Result<Option<Link>, Errno> {
        Link::get(socket, index, None)
    }

    fn get(socket: &mut Socket, index: u32, name: Option<&str>) -> Result<Option<Link>, Errno> {
        let mut found = None;
        let asked = socket.ask(
            GET_LINK,
            0,
            &fixed(index, 0, 0),
            |request| match name {
                Some(name) => request.with_text(LINK_NAME, name),
                None => request,
            },
            |message| found = Link::read(message),
        );
        match asked {
            Ok(()) => Ok(found),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn read(message: &Message<'_>) -> Option<Link> {
        let name = message.attributes(LINK_FIXED).value(LINK_NAME)?;
        Some(Link {
            index: word(message.body, 4)?,
            name: String::from_utf8_lossy(name)
                .trim_end_matches('\0')
                .to_owned(),
            flags: word(message.body, 8)?,
        })
    }

    /// Moves it into another network namespace and renames it, in one message.
    pub(super) fn send(
        &self,
        socket: &mut Socket,
        netns: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), Errno> {
        socket.ask(
            NEW_LINK,
            0,
            &fixed(self.index, 0, 0),
            |request| {
                request
                    .with_text(LINK_NAME, name)
                    .with(LINK_NAMESPACE, &netns.as_raw_fd().to_ne_bytes())
            },
            |_| {},
        )
    }

    /// Sets it up.
    pub(super) fn set_up(&self, socket: &mut Socket) -> Result<(), Errno> {
        let up = fixed(self.index, UP, UP);
        socket.ask(NEW_LINK, 0, &up, |request| request, |_| {})
    }

    /// Its permanent addresses of global scope, of IPv4 and IPv6, in the kernel's order.
    pub(super) fn addresses(&self, socket: &mut Socket) -> Result<Vec<Address>, Errno> {
        socket.dump(GET_ADDRESS, &[0; ADDRESS_FIXED], |message| {
            let (index, address) = Address::read(message)?;
            (index == self.index).then_some(address)
        })
    }
}

/// `struct ifinfomsg`.
pub(super) fn fixed(index: u32, flags: u32, change: u32) -> [u8; LINK_FIXED] {
    let mut bytes = [0; LINK_FIXED];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

/// An address that goes with its interface.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    /// Attributes as the kernel gave them and takes them again.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// The interface's number and the address; `None` for one that stays behind.
    fn read(message: &Message<'_>) -> Option<(u32, Address)> {
        let &[family, prefix, short_flags, scope, ..] = message.body else {
            return None;
        };
        let index = word(message.body, 4)?;
        let all = message.attributes(ADDRESS_FIXED);
        let flags = all
            .value(FLAGS)
            .and_then(|value| word(value, 0))
            .unwrap_or(u32::from(short_flags));
        let moves = matches!(family, INET | INET6) && scope == GLOBAL && flags & PERMANENT != 0;
        moves.then(|| {
            let address = Address {
                family,
                prefix,
                flags: flags & SETTABLE,
                attributes: kept(all),
            };
            (index, address)
        })
    }

    /// Gives it to an interface.
    pub(super) fn add(&self, socket: &mut Socket, link: &Link) -> Result<(), Errno> {
        let mut fixed = [0; ADDRESS_FIXED];
        fixed[..2].copy_from_slice(&[self.family, self.prefix]);
        fixed[4..].copy_from_slice(&link.index.to_ne_bytes());
        socket.ask(
            NEW_ADDRESS,
            CREATE,
            &fixed,
            |request| {
                let flagged = request.with(FLAGS, &self.flags.to_ne_bytes());
                self.attributes
                    .iter()
                    .fold(flagged, |request, (kind, value)| request.with(*kind, value))
            },
            |_| {},
        )
    }

    /// Whether it is an IPv6 address.
    pub(super) fn is_ipv6(&self) -> bool {
        self.family == INET6
    }

    fn ip(&self) -> Option<IpAddr> {
        let value = |kind| self.attributes.iter().find(|(found, _)| *found == kind);
        let (_, bytes) = value(LOCAL).or_else(|| value(ADDRESS))?;
        let bytes = bytes.as_slice();
        <[u8; 4]>::try_from(bytes)
            .map(|four| Ipv4Addr::from(four).into())
            .or_else(|_| <[u8; 16]>::try_from(bytes).map(|sixteen| Ipv6Addr::from(sixteen).into()))
            .ok()
    }
}

/// Without the label, which holds the name outside, and without times of finite length, which a permanent address doesn't have.
fn kept(all: Attributes<'_>) -> Vec<(u16, Vec<u8>)> {
    all.filter(|(kind, value)| match *kind {
        ADDRESS | LOCAL | BROADCAST | PRIORITY => true,
        // struct ifa_cacheinfo: preferred, valid, two times of birth. A preferred time of 0 is a deprecated address.
        LIFETIMES => word(value, 4) == Some(u32::MAX),
        _ => false,
    })
    .map(|(kind, value)| (kind, value.to_vec()))
    .collect()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => write!(f, "{ip}/{}", self.prefix),
            None => write!(f, "an address of family {}", self.family),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {:#x} {:?}", self.flags, self.attributes)
    }
}

/// Everything that an answer's bytes are read for, in words; for the fuzz targets.
#[cfg(feature = "doors")]
pub(crate) fn words(answer: &[u8]) -> Option<Vec<String>> {
    let words = |message: &Message<'_>| {
        format!(
            "{:?} {:?} {:?}",
            Link::read(message),
            Address::read(message),
            message.errno()
        )
    };
    Some(
        super::message::messages(answer)?
            .iter()
            .map(words)
            .collect(),
    )
}
