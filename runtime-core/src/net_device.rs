//! `linux.netDevices`: an interface moves into the container's network namespace with its addresses, whole or not at all.
pub(crate) mod link;
mod message;
mod socket;
#[cfg(test)]
mod tests;

use crate::error::{Error, IntoErrno};
use link::{Address, LOOPBACK, Link, UP};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use socket::Socket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Moves the interface `name` of the calling thread's network namespace into `netns` under the name `rename`, with its permanent
/// addresses of global scope, and sets it up there. `%d` in `rename` stands for the smallest number that is free inside.
///
/// What the kernel keeps by itself stays: hardware address, MTU, alternative names. The label of an IPv4 address, routes and
/// neighbours do not. The move and the new name are one message; the kernel takes an interface down when it moves.
///
/// # Errors
/// [`Error::Config`] for what config.json can't have (no such interface, loopback, a name in use inside, a kind of interface that
/// can't move); [`Error::System`] for what the kernel refuses. The interface is then where it was, with its name, these addresses
/// and its state; where even that fails the error says so.
pub(crate) fn move_into(name: &str, rename: &str, netns: BorrowedFd<'_>) -> Result<(), Error> {
    let home = own_namespace()?;
    if is_same(home.as_fd(), netns)? {
        let why = "the container's network namespace is the runtime's own: there is nowhere to move it to";
        return Err(refused(name, "", why));
    }
    let mut outside = Socket::here()?;
    let inside = Socket::inside(netns)?;
    let Some(link) = Link::by_name(&mut outside, name)
        .map_err(|errno| failed(name, "look at the interface", errno))?
    else {
        return Err(refused(
            name,
            "",
            "there is no interface of this name on the host",
        ));
    };
    if link.flags & LOOPBACK != 0 {
        return Err(refused(
            name,
            "",
            "the loopback interface can't leave its network namespace",
        ));
    }
    // Before the move: it takes them away.
    let addresses = link
        .addresses(&mut outside)
        .map_err(|errno| failed(name, "read its addresses", errno))?;
    let mut moving = Move {
        name,
        link,
        addresses,
        home: home.as_fd(),
        netns,
        outside,
        inside,
    };
    let (mut number, mut lost) = (0u32, 0);
    loop {
        let target = rename.replace("%d", &number.to_string());
        match moving.to(&target) {
            Ok(()) => return Ok(()),
            Err(Refusal::Taken) if target != rename => number += 1,
            // Somebody may have taken the name since we looked. Or an alternative name is in use inside, which stays so.
            Err(Refusal::Lost) if target != rename && lost < RETRIES => lost += 1,
            Err(Refusal::Taken | Refusal::Lost) => {
                let field = if name == rename { "" } else { ".name" };
                let why = format!(
                    "the name {target:?} is in use in the container's network namespace, perhaps as an alternative name"
                );
                return Err(refused(name, field, &why));
            }
            Err(Refusal::Other(error)) => return Err(error),
        }
    }
}

/// How often a numbered name may be lost to somebody else.
const RETRIES: u32 = 3;

/// One interface on its way.
struct Move<'a> {
    name: &'a str,
    link: Link,
    addresses: Vec<Address>,
    home: BorrowedFd<'a>,
    netns: BorrowedFd<'a>,
    outside: Socket,
    inside: Socket,
}

/// Why a move under one name came to nothing.
enum Refusal {
    /// The name is in use inside, as was seen before the move.
    Taken,
    /// The name is in use inside, as the kernel said.
    Lost,
    /// Anything else.
    Other(Error),
}

impl Move<'_> {
    /// Moves under this name; on failure the interface is back.
    fn to(&mut self, target: &str) -> Result<(), Refusal> {
        if self.is_taken(target)? {
            return Err(Refusal::Taken);
        }
        match self.link.send(&mut self.outside, self.netns, target) {
            Ok(()) => {}
            Err(errno) => return Err(self.refused_by_kernel(errno)),
        }
        self.settle(target)
            .map_err(|error| Refusal::Other(self.undo(target, error)))
    }

    /// Gives the moved interface its addresses, then sets it up, so that it is never up without them.
    fn settle(&mut self, target: &str) -> Result<(), Error> {
        let link = Link::by_name(&mut self.inside, target)
            .and_then(|link| link.ok_or(Errno::NODEV))
            .map_err(|errno| failed(self.name, "find it in the container", errno))?;
        for address in &self.addresses {
            address
                .add(&mut self.inside, &link)
                .map_err(|errno| no_address(self.name, address, errno))?;
        }
        link.set_up(&mut self.inside)
            .map_err(|errno| failed(self.name, "set it up in the container", errno))
    }

    /// The kernel moves first and renames then: after a name that it refuses the interface can be inside, under its old one.
    fn refused_by_kernel(&mut self, errno: Errno) -> Refusal {
        let error = match errno {
            Errno::INVAL => refused(
                self.name,
                "",
                "the kernel does not let this kind of interface change its network namespace (EINVAL), which holds for bridges and some tunnels",
            ),
            errno => failed(self.name, "move it", errno),
        };
        match Link::by_index(&mut self.outside, self.link.index) {
            Ok(Some(_)) if errno == Errno::EXIST => Refusal::Lost,
            Ok(Some(_)) => Refusal::Other(error),
            _ => {
                let old = self.link.name.clone();
                match self.back(&old) {
                    Ok(()) if errno == Errno::EXIST => Refusal::Lost,
                    Ok(()) => Refusal::Other(error),
                    Err(back) => Refusal::Other(stranded(error, &back)),
                }
            }
        }
    }

    fn undo(&mut self, target: &str, error: Error) -> Error {
        match self.back(target) {
            Ok(()) => error,
            Err(back) => stranded(error, &back),
        }
    }

    /// Brings it out again under its old name, with its addresses and state.
    fn back(&mut self, target: &str) -> Result<(), Error> {
        let (name, old) = (self.name, self.link.name.as_str());
        let moved = Link::by_name(&mut self.inside, target)
            .and_then(|link| link.ok_or(Errno::NODEV))
            .map_err(|errno| failed(name, "find it in the container", errno))?;
        moved
            .send(&mut self.inside, self.home, old)
            .map_err(|errno| failed(name, "move it back", errno))?;
        let link = Link::by_name(&mut self.outside, old)
            .and_then(|link| link.ok_or(Errno::NODEV))
            .map_err(|errno| failed(name, "find it after its return", errno))?;
        for address in &self.addresses {
            address
                .add(&mut self.outside, &link)
                .map_err(|errno| no_address(name, address, errno))?;
        }
        if self.link.flags & UP != 0 {
            link.set_up(&mut self.outside)
                .map_err(|errno| failed(name, "set it up again", errno))?;
        }
        // It may have another number now.
        self.link.index = link.index;
        Ok(())
    }

    fn is_taken(&mut self, target: &str) -> Result<bool, Refusal> {
        Link::by_name(&mut self.inside, target)
            .map(|link| link.is_some())
            .map_err(|errno| {
                let what = "look for its name in the container";
                Refusal::Other(failed(self.name, what, errno))
            })
    }
}

/// The calling thread's network namespace.
fn own_namespace() -> Result<OwnedFd, Error> {
    let path = Path::new("/proc/thread-self/ns/net");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::path("open the runtime's network namespace", path, errno))
}

fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Error> {
    let id = |fd| {
        rustix::fs::fstat(fd)
            .map(|stat| (stat.st_dev, stat.st_ino))
            .map_err(|errno| Error::system("look at a network namespace", errno))
    };
    Ok(id(one)? == id(other)?)
}

fn place(name: &str, field: &str) -> String {
    format!("linux.netDevices[{name:?}]{field}")
}

fn refused(name: &str, field: &str, why: &str) -> Error {
    Error::Config {
        path: place(name, field),
        why: why.to_owned(),
    }
}

fn failed(name: &str, what: &str, errno: impl IntoErrno) -> Error {
    Error::system(format!("{}: {what}", place(name, "")), errno)
}

fn no_address(name: &str, address: &Address, errno: Errno) -> Error {
    match errno {
        // A namespace with disable_ipv6, or a kernel without IPv6.
        Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP | Errno::AFNOSUPPORT
            if address.is_ipv6() =>
        {
            let why = format!(
                "its address {address} can't be kept: IPv6 is disabled in the network namespace"
            );
            refused(name, "", &why)
        }
        errno => failed(name, &format!("keep its address {address}"), errno),
    }
}

/// Adds to a failure that the way back failed too.
fn stranded(error: Error, back: &Error) -> Error {
    let back = back.report();
    match error {
        Error::System { what, errno } => Error::System {
            what: format!("{what} (and then: {back})"),
            errno,
        },
        Error::Config { path, why } => Error::Config {
            path,
            why: format!("{why} (and then: {back})"),
        },
        error => error,
    }
}
