//! Real interfaces in two network namespaces of the test's own; the machine's are never touched. They need CAP_SYS_ADMIN.
use super::link::{LINK_NAME, Link, NEW_LINK, UP, fixed};
use super::message::{CREATE, Request, messages};
use super::move_into;
use super::socket::Socket;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const NEW_PROPERTY: u16 = 108;
const LINK_INFO: u16 = 18;
const LINK_KIND: u16 = 1;
const LINK_MTU: u16 = 4;
const PROPERTIES: u16 = 52 | 0x8000;
const OTHER_NAME: u16 = 53;

/// A host and a container: two network namespaces.
struct Pair {
    host: OwnedFd,
    container: OwnedFd,
}

impl Pair {
    /// `None` without the rights to make them, which root has.
    fn new() -> Option<Pair> {
        let fresh = || {
            std::thread::spawn(|| {
                tare_sys::ns::unshare(0x4000_0000).map(|()| super::own_namespace().unwrap())
            })
            .join()
            .unwrap()
        };
        match (fresh(), fresh()) {
            (Ok(host), Ok(container)) => Some(Pair { host, container }),
            (Err(errno), _) | (_, Err(errno)) => {
                let root = rustix::process::geteuid().is_root();
                assert!(!root, "root can't make a network namespace: {errno}");
                None
            }
        }
    }

    /// Makes two interfaces, `a0` and `a1`, that are joined by a cable.
    fn cable(&self) {
        // A veth is made with its peer, which gets a name of the kernel's choice.
        let host = self.host.as_fd();
        let info = Request::new(0, 0, &[])
            .with_text(LINK_KIND, "veth")
            .bytes(0);
        let mut socket = Socket::inside(host).unwrap();
        let named = |request: Request| {
            request
                .with_text(LINK_NAME, "a0")
                .with(LINK_INFO, &info[16..])
        };
        socket
            .ask(NEW_LINK, CREATE, &fixed(0, 0, 0), named, |_| {})
            .unwrap();
    }

    fn bridge(&self) {
        let info = Request::new(0, 0, &[])
            .with_text(LINK_KIND, "bridge")
            .bytes(0);
        let named = |request: Request| {
            request
                .with_text(LINK_NAME, "b0")
                .with(LINK_INFO, &info[16..])
        };
        Socket::inside(self.host.as_fd())
            .unwrap()
            .ask(NEW_LINK, CREATE, &fixed(0, 0, 0), named, |_| {})
            .unwrap();
    }

    fn go(&self, name: &str, rename: &str) -> String {
        let result = within(self.host.as_fd(), || {
            move_into(name, rename, self.container.as_fd())
        });
        result.map_or_else(|error| error.report(), |()| "moved".to_owned())
    }
}

/// Runs in a network namespace.
fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}

/// `up` or `down` and the addresses that move, or `absent`.
fn seen(netns: &OwnedFd, name: &str) -> String {
    let mut socket = Socket::inside(netns.as_fd()).unwrap();
    let Some(link) = Link::by_name(&mut socket, name).unwrap() else {
        return "absent".to_owned();
    };
    assert_eq!(link.name, name);
    let state = if link.flags & UP == 0 { "down" } else { "up" };
    let addresses = link.addresses(&mut socket).unwrap();
    let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    [&[state.to_owned()], words.as_slice()].concat().join(" ")
}

fn set_up(netns: &OwnedFd, name: &str) {
    let mut socket = Socket::inside(netns.as_fd()).unwrap();
    let link = Link::by_name(&mut socket, name).unwrap().unwrap();
    link.set_up(&mut socket).unwrap();
}

/// An address of its own making: (family, prefix, scope, flags, attributes).
fn address(netns: &OwnedFd, name: &str, fixed: [u8; 4], attributes: &[(u16, &[u8])]) {
    let mut socket = Socket::inside(netns.as_fd()).unwrap();
    let link = Link::by_name(&mut socket, name).unwrap().unwrap();
    let fixed = [fixed, link.index.to_ne_bytes()].concat();
    let all = |request: Request| {
        let add = |request: Request, (kind, value): &(u16, &[u8])| request.with(*kind, value);
        attributes.iter().fold(request, add)
    };
    socket.ask(20, CREATE, &fixed, all, |_| {}).unwrap();
}

fn ipv4(netns: &OwnedFd, name: &str, text: &str) {
    let ip = text.parse::<Ipv4Addr>().unwrap().octets();
    address(netns, name, [2, 24, 0, 0], &[(1, &ip), (2, &ip)]);
}

const V6: [u8; 16] = [0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

#[test]
fn it_arrives_with_its_name_up_and_with_its_addresses() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    let mut socket = Socket::inside(pair.host.as_fd()).unwrap();
    let link = Link::by_name(&mut socket, "a0").unwrap().unwrap();
    let mtu = |request: Request| request.with(LINK_MTU, &1400u32.to_ne_bytes());
    socket
        .ask(NEW_LINK, 0, &fixed(link.index, 0, 0), mtu, |_| {})
        .unwrap();
    set_up(&pair.host, "a0");
    ipv4(&pair.host, "a0", "10.1.2.3");
    ipv4(&pair.host, "a0", "10.1.2.4");
    // Point to point, without the route to its prefix (IFA_F_NOPREFIXROUTE), with a metric.
    address(
        &pair.host,
        "a0",
        [2, 32, 0, 0],
        &[
            (2, &[10, 9, 0, 1]),
            (1, &[10, 9, 0, 2]),
            (8, &0x200u32.to_ne_bytes()),
            (9, &77u32.to_ne_bytes()),
        ],
    );
    address(&pair.host, "a0", [10, 64, 0, 0], &[(1, &V6)]);
    // Of this link only, and one that ends: both stay behind.
    address(
        &pair.host,
        "a0",
        [2, 16, 0, 253],
        &[(1, &[169, 254, 1, 1]), (2, &[169, 254, 1, 1])],
    );
    let lifetimes = [3600u32, 3600, 0, 0].map(u32::to_ne_bytes).concat();
    address(
        &pair.host,
        "a0",
        [2, 24, 0, 0],
        &[(1, &[10, 1, 5, 5]), (2, &[10, 1, 5, 5]), (6, &lifetimes)],
    );
    let before = link.addresses(&mut socket).unwrap();
    let mut words: Vec<_> = before.iter().map(ToString::to_string).collect();
    words.sort();
    let expect = ["10.1.2.3/24", "10.1.2.4/24", "10.9.0.1/32", "fd00:1::2/64"];
    assert_eq!(words, expect);

    assert_eq!(pair.go("a0", "lan"), "moved");
    assert_eq!(seen(&pair.host, "a0"), "absent");
    let mut inside = Socket::inside(pair.container.as_fd()).unwrap();
    let link = Link::by_name(&mut inside, "lan").unwrap().unwrap();
    assert_eq!((link.name.as_str(), link.flags & UP), ("lan", UP));
    // All that a request can say of them: peer, broadcast, flags, metric, lifetimes.
    let after: Vec<_> = link.addresses(&mut inside).unwrap();
    let plain = |list: &[super::Address]| {
        let mut all: Vec<_> = list
            .iter()
            .map(|a| without_births(&format!("{a:?}")))
            .collect();
        all.sort();
        all
    };
    assert_eq!(plain(&after), plain(&before));
    let mut mtu = None;
    inside
        .ask(
            18,
            0,
            &fixed(link.index, 0, 0),
            |request| request,
            |message| {
                mtu = message
                    .attributes(16)
                    .value(LINK_MTU)
                    .and_then(|value| super::message::word(value, 0));
            },
        )
        .unwrap();
    assert_eq!(mtu, Some(1400));
}

/// Times of birth differ before and after.
fn without_births(text: &str) -> String {
    match text.split_once("(6, [") {
        Some((before, after)) => {
            let numbers: Vec<_> = after.split(", ").take(8).collect();
            let rest = after.split_once("])").map_or("", |(_, rest)| rest);
            format!("{before}(6, {numbers:?}){rest}")
        }
        None => text.to_owned(),
    }
}

#[test]
fn what_can_not_move_is_refused_and_untouched() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    pair.bridge();
    set_up(&pair.host, "b0");
    set_up(&pair.host, "a0");
    ipv4(&pair.host, "b0", "10.1.2.3");
    assert_eq!(
        pair.go("gone", "gone"),
        r#"linux.netDevices["gone"]: there is no interface of this name on the host"#
    );
    assert_eq!(
        pair.go("lo", "x"),
        r#"linux.netDevices["lo"]: the loopback interface can't leave its network namespace"#
    );
    let taken = pair.go("a0", "lo");
    assert!(
        taken.starts_with(
            r#"linux.netDevices["a0"].name: the name "lo" is in use in the container's"#
        ),
        "{taken}"
    );
    assert_eq!(seen(&pair.host, "a0"), "up");
    let bound = pair.go("b0", "c0");
    assert!(
        bound.contains("EINVAL") && bound.starts_with(r#"linux.netDevices["b0"]: "#),
        "{bound}"
    );
    assert_eq!(seen(&pair.host, "b0"), "up 10.1.2.3/24");
    assert_eq!(seen(&pair.container, "c0"), "absent");
    let host = pair.host.as_fd();
    let nowhere = within(host, || move_into("a0", "a9", host))
        .unwrap_err()
        .report();
    assert!(nowhere.contains("nowhere to move it to"), "{nowhere}");
}

#[test]
fn it_goes_back_when_an_address_can_not_be_kept() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    set_up(&pair.host, "a0");
    ipv4(&pair.host, "a0", "10.1.2.3");
    address(&pair.host, "a0", [10, 64, 0, 0], &[(1, &V6)]);
    let before = seen(&pair.host, "a0");
    assert!(
        before.contains("fd00") && before.contains("10.1.2.3"),
        "{before}"
    );
    // /proc/sys/net is the reader's network namespace's.
    within(pair.container.as_fd(), || {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    });
    let error = pair.go("a0", "lan");
    assert!(
        error.starts_with(r#"linux.netDevices["a0"]: its address fd00:"#)
            && error.ends_with("IPv6 is disabled in the network namespace"),
        "{error}"
    );
    assert_eq!(seen(&pair.host, "a0"), before);
    assert_eq!(seen(&pair.container, "lan"), "absent");
}

#[test]
fn it_goes_back_when_the_kernel_moves_and_then_refuses_the_name() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    set_up(&pair.host, "a0");
    ipv4(&pair.host, "a0", "10.1.2.3");
    let mut socket = Socket::inside(pair.host.as_fd()).unwrap();
    let link = Link::by_name(&mut socket, "a0").unwrap().unwrap();
    let names = Request::new(0, 0, &[])
        .with_text(OTHER_NAME, "lan")
        .bytes(0);
    let property = |request: Request| request.with(PROPERTIES, &names[16..]);
    socket
        .ask(
            NEW_PROPERTY,
            CREATE,
            &fixed(link.index, 0, 0),
            property,
            |_| {},
        )
        .unwrap();
    // The name is free inside until the interface itself brings it along.
    let error = pair.go("a0", "lan");
    assert!(error.contains("perhaps as an alternative name"), "{error}");
    assert_eq!(seen(&pair.host, "a0"), "up 10.1.2.3/24");
    assert_eq!(seen(&pair.container, "a0"), "absent");
    let endless = pair.go("a0", "lan%d");
    assert_eq!(endless, "moved");
}

#[test]
fn a_numbered_name_takes_the_first_free_number() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    assert_eq!(pair.go("a0", "eth%d"), "moved");
    pair.cable();
    assert_eq!(pair.go("a0", "eth%d"), "moved");
    assert_eq!(seen(&pair.container, "eth0"), "up");
    assert_eq!(seen(&pair.container, "eth1"), "up");
    assert_eq!(seen(&pair.container, "eth2"), "absent");
}

#[test]
fn a_name_in_use_inside_by_another_is_no_obstacle_to_a_rename() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    assert_eq!(pair.go("a0", "a0"), "moved");
    pair.cable();
    let taken = pair.go("a0", "a0");
    assert!(
        taken.starts_with(r#"linux.netDevices["a0"]: the name "a0" is in use"#),
        "{taken}"
    );
    assert_eq!(pair.go("a0", "wan"), "moved");
    assert_eq!(seen(&pair.container, "wan"), "up");
}

#[test]
fn a_datagram_of_the_kernel_is_taken_apart_whole() {
    let Some(pair) = Pair::new() else { return };
    pair.cable();
    let mut socket = Socket::inside(pair.host.as_fd()).unwrap();
    let mut names = socket
        .dump(18, &fixed(0, 0, 0), |message| {
            let name = message.attributes(16).value(LINK_NAME)?;
            Some(String::from_utf8_lossy(&name[..name.len() - 1]).into_owned())
        })
        .unwrap();
    names.retain(|name| name == "a0" || name == "lo");
    names.sort();
    assert_eq!(names, ["a0", "lo"]);
    assert_eq!(messages(&[]), Some(Vec::new()));
}
