//! Protobuf's well-known messages that containerd's use.
use crate::codec::{Error, Message, messages};

messages! {
    /// A value of any type.
    Any = "google.protobuf.Any" {
        1 type_url: String,
        2 value: Vec<u8>,
    }

    /// Since 1970, UTC; `nanos` are never negative.
    Timestamp = "google.protobuf.Timestamp" {
        1 seconds: i64,
        2 nanos: i32,
    }

    /// Nothing.
    Empty = "google.protobuf.Empty" {}
}

impl Any {
    /// A message as a value; its type url is its bare name, as containerd writes it.
    pub fn pack<M: Message>(message: &M) -> Any {
        Any::json(M::NAME, message.encode())
    }

    /// A value that is JSON, of one of the type urls of [`urls`](super::urls).
    pub fn json(type_url: &str, value: Vec<u8>) -> Any {
        Any {
            type_url: type_url.to_owned(),
            value,
        }
    }

    /// Whether it holds this message: the name is what follows the last `/`.
    pub fn is<M: Message>(&self) -> bool {
        self.type_url.rsplit('/').next() == Some(M::NAME)
    }

    /// The message in it; `None` when it holds something else.
    pub fn unpack<M: Message>(&self) -> Option<Result<M, Error>> {
        self.is::<M>().then(|| M::decode(&self.value))
    }
}
