//! Every message: read again as written, hostile bytes, and what the calls and values make of them.
use super::google::{Any, Timestamp};
use super::task::{Call, CreateTaskRequest, Mount, SERVICES, StateRequest, UpdateTaskRequest};
use crate::doors::{every, numbers};
use crate::rpc::{Code, Request};
use crate::{Error, Fault, MOST_MEMORY, Message};
use proptest::prelude::*;

#[test]
fn every_message_reads_what_it_wrote() {
    for message in every() {
        for seed in 0..200 {
            let bytes = (message.sample)(&mut numbers(seed));
            assert_eq!(
                (message.again)(&bytes),
                Ok(bytes),
                "{} {seed}",
                message.name
            );
        }
        assert_eq!((message.again)(&[]), Ok(Vec::new()), "{}", message.name);
    }
}

#[test]
fn names_and_numbers_are_used_once() {
    let mut names: Vec<&str> = every().map(|message| message.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), count), (count, 114));
    for message in every() {
        let mut fields: Vec<u32> = message.fields.iter().map(|field| field.0).collect();
        let sorted = fields.is_sorted();
        fields.dedup();
        assert!(
            sorted && fields.len() == message.fields.len(),
            "{}",
            message.name
        );
    }
}

/// A message whose bytes end early is read up to there or refused; what was read can be written and read.
#[test]
fn every_message_may_end_anywhere() {
    for message in every() {
        let bytes = (message.sample)(&mut numbers(7));
        for end in 0..bytes.len() {
            match (message.again)(&bytes[..end]) {
                Ok(read) => assert_eq!((message.again)(&read), Ok(read)),
                Err(error) => assert_eq!(error.fault, Fault::Short, "{error}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_or_read(seed: u64, at: prop::sample::Index, place: prop::sample::Index, byte: u8) {
        let all: Vec<_> = every().collect();
        let message = at.get(&all);
        let mut bytes = (message.sample)(&mut numbers(seed));
        if !bytes.is_empty() {
            *place.get_mut(&mut bytes) = byte;
        }
        if let Ok(read) = (message.again)(&bytes) {
            prop_assert_eq!((message.again)(&read), Ok(read));
        }
    }

    #[test]
    fn random_bytes_are_refused_or_read(bytes: Vec<u8>) {
        for message in every() {
            if let Ok(read) = (message.again)(&bytes) {
                prop_assert_eq!((message.again)(&read), Ok(read));
            }
        }
    }
}

#[test]
fn memory_is_bounded_by_what_was_sent() {
    // Two bytes each for a mount of 96: a list of them in a frame of 4 MiB would take 200 MB.
    let bytes = [0x1a, 0].repeat(2 << 20);
    let refused = CreateTaskRequest::decode(&bytes).map_err(|error| error.fault);
    assert_eq!(refused, Err(Fault::Memory));
    let most = MOST_MEMORY / size_of::<Mount>();
    let read = CreateTaskRequest::decode(&[0x1a, 0].repeat(most)).expect("as many as may be");
    assert_eq!(read.rootfs.len(), most);
    let entries = [0x1a, 0].repeat(2 << 20);
    let refused = UpdateTaskRequest::decode(&entries).map_err(|error| error.fault);
    assert_eq!(refused, Err(Fault::Memory));
    // A whole frame of one text is nothing special.
    let long = StateRequest {
        id: "x".repeat(crate::frame::MOST),
        ..StateRequest::default()
    };
    assert_eq!(StateRequest::decode(&long.encode()), Ok(long));
}

#[test]
fn an_error_names_the_innermost_message() {
    let bytes = CreateTaskRequest {
        rootfs: vec![
            Mount::default(),
            Mount {
                r#type: "xyz".into(),
                ..Mount::default()
            },
        ],
        ..CreateTaskRequest::default()
    };
    let mut bytes = bytes.encode();
    *bytes.last_mut().expect("a text") = 0xff;
    let expect = Error {
        message: "containerd.types.Mount",
        field: 1,
        fault: Fault::Text,
    };
    assert_eq!(CreateTaskRequest::decode(&bytes), Err(expect));
}

#[test]
fn a_message_that_comes_in_parts_is_merged() {
    let parts = [0x0a, 2, 8, 5, 0x0a, 2, 0x10, 6]; // field 1 twice: seconds, then nanos
    let expect = Timestamp {
        seconds: 5,
        nanos: 6,
    };
    let read = super::sandbox::Metric::decode(&parts).expect("a metric");
    assert_eq!(read.timestamp, Some(expect));
}

#[test]
fn numbers_of_lists_come_packed_or_not() {
    for bytes in [&[0x22, 3, 1, 0x80, 2][..], &[0x20, 1, 0x20, 0x80, 2]] {
        let read = super::cgroup1::CPUUsage::decode(bytes).map(|usage| usage.per_cpu);
        assert_eq!(read, Ok(vec![1, 256]));
    }
}

#[test]
fn a_call_is_known_by_both_names_of_the_service() {
    let payload = StateRequest {
        id: "c".into(),
        exec_id: "e".into(),
    };
    let mut request = Request {
        method: "State".into(),
        payload: payload.encode(),
        ..Request::default()
    };
    for service in SERVICES {
        request.service = service.into();
        assert_eq!(Call::of(&request), Ok(Call::State(payload.clone())));
    }
    assert_eq!(Call::METHODS.len(), 17);
    let refused = |request: &Request| {
        let status = Call::of(request).expect_err("not served");
        (status.code, status.message)
    };
    let unimplemented = Code::Unimplemented as i32;
    request.method = "Fly".into();
    assert_eq!(refused(&request), (unimplemented, "method Fly".into()));
    request.service = "containerd.task.v4.Task".into();
    assert_eq!(
        refused(&request),
        (unimplemented, "service containerd.task.v4.Task".into())
    );
    request.service = SERVICES[0].into();
    request.method = "Kill".into();
    request.payload = vec![0x1a, 0];
    let message = "ttrpc: error unmarshalling payload: containerd.task.v2.KillRequest, field 3: the value is of another kind than the field";
    assert_eq!(refused(&request), (Code::Internal as i32, message.into()));
}

#[test]
fn a_value_knows_what_it_is() {
    let time = Timestamp {
        seconds: -1,
        nanos: 999,
    };
    let mut value = Any::pack(&time);
    assert_eq!(value.type_url, "google.protobuf.Timestamp");
    for prefix in ["", "type.googleapis.com/", "types.containerd.io/a/"] {
        value.type_url = format!("{prefix}google.protobuf.Timestamp");
        assert_eq!(value.unpack::<Timestamp>(), Some(Ok(time.clone())));
    }
    value.type_url = "xgoogle.protobuf.Timestamp".into();
    assert_eq!(value.unpack::<Timestamp>(), None);
}
