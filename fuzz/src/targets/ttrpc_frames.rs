//! What comes over a shim's socket: the same in any pieces, answered, and the answers understood.
use tare_shim_wire::frame::{Decoder, MOST};
use tare_shim_wire::messages::google::Empty;
use tare_shim_wire::messages::task::Call;
use tare_shim_wire::rpc::{Client, Incoming, Server, put_response};

/// Runs one input: the first byte says into how long pieces the rest is cut.
pub fn run(bytes: &[u8]) {
    let Some((cut, rest)) = bytes.split_first() else {
        return;
    };
    let length = usize::from(*cut).max(1);
    let (whole, clean) = server([rest].into_iter());
    let pieces = server(rest.chunks(length));
    assert_eq!((&whole, clean), (&pieces.0, pieces.1));
    assert_eq!(client([rest].into_iter()), client(rest.chunks(length)));
    frames(rest);
    for incoming in whole {
        answered(incoming);
    }
}

fn server<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, bool) {
    let (mut server, mut found) = (Server::default(), Vec::new());
    for mut piece in pieces {
        while let Some(incoming) = server.next(&mut piece) {
            found.push(incoming);
        }
        assert!(piece.is_empty());
    }
    (found, server.between_frames())
}

fn client<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut client, mut found) = (Client::default(), Vec::new());
    for mut piece in pieces {
        while let Some(answer) = client.next(&mut piece) {
            found.push(format!("{answer:?}"));
        }
        assert!(piece.is_empty());
    }
    found
}

/// Every frame costs its header at least.
fn frames(bytes: &[u8]) {
    let (mut decoder, mut input, mut count) = (Decoder::default(), bytes, 0);
    while decoder.next(&mut input).is_some() {
        count += 1;
    }
    assert!(count * 10 <= bytes.len() && bytes.len() < MOST);
}

/// Whatever came gets an answer, and a client reads it as it was meant.
fn answered(incoming: Incoming) {
    let (stream, result) = match incoming {
        Incoming::Request(stream, request) => (stream, Call::of(&request).map(drop)),
        Incoming::Refused(stream, status) => (stream, Err(status)),
    };
    let mut out = Vec::new();
    put_response(&mut out, stream, result.as_ref().map(|()| &Empty {} as _));
    let answer = Client::default().next(&mut &out[..]);
    assert_eq!(answer, Some((stream, result.map(|()| Vec::new()))));
}
