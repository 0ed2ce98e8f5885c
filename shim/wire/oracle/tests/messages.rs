//! Names, numbers and types of all fields, and bytes both ways.
use oracle::{newer, theirs};
use protobuf::descriptor::field_descriptor_proto::{Label, Type};
use protobuf::reflect::{FieldDescriptor, MessageDescriptor};
use std::collections::BTreeMap;
use tare_shim_wire::Message;
use tare_shim_wire::doors::{every, numbers};
use tare_shim_wire::messages::bootstrap::BootstrapResult;
use tare_shim_wire::messages::runtime::GenericOptions;

/// Messages that the oracle has not: who has them says the other test.
const ABSENT: [&str; 1] = ["runtimeoptions.v1.Options"];

fn known() -> Vec<(&'static tare_shim_wire::doors::Any, MessageDescriptor)> {
    let mut theirs = theirs();
    every()
        .filter(|ours| !ABSENT.contains(&ours.name))
        // kubelet's, of which there are some fields only: containerd itself sends them to the callers' test.
        .filter(|ours| !ours.name.starts_with("runtime.v1."))
        .map(|ours| {
            let descriptor = theirs.remove(ours.name);
            (ours, descriptor.unwrap_or_else(|| panic!("{}", ours.name)))
        })
        .collect()
}

/// The type that a field of theirs has here.
fn rust_type(field: &FieldDescriptor) -> String {
    let proto = field.proto();
    let inner = match proto.type_() {
        Type::TYPE_STRING => "String".to_owned(),
        Type::TYPE_BYTES => "Vec<u8>".to_owned(),
        Type::TYPE_BOOL => "bool".to_owned(),
        Type::TYPE_UINT32 => "u32".to_owned(),
        Type::TYPE_UINT64 => "u64".to_owned(),
        Type::TYPE_INT32 | Type::TYPE_ENUM => "i32".to_owned(),
        Type::TYPE_INT64 => "i64".to_owned(),
        Type::TYPE_DOUBLE => "f64".to_owned(),
        Type::TYPE_MESSAGE => proto.type_name().rsplit('.').next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    let single = proto.label() != Label::LABEL_REPEATED;
    if field.is_map() {
        "BTreeMap<String, String>".to_owned()
    } else if !single {
        format!("Vec<{inner}>")
    } else if proto.type_() == Type::TYPE_MESSAGE || proto.proto3_optional() {
        format!("Option<{inner}>")
    } else {
        inner
    }
}

#[test]
fn fields_have_the_same_names_numbers_and_types() {
    let mut compared = 0;
    for (ours, theirs) in known() {
        let expect: BTreeMap<u32, (String, String)> = theirs
            .fields()
            .map(|field| {
                (
                    field.number() as u32,
                    (field.name().to_owned(), rust_type(&field)),
                )
            })
            .collect();
        let seen: BTreeMap<u32, (String, String)> = ours
            .fields
            .iter()
            .filter(|(number, ..)| !newer(ours.name, *number))
            .map(|(number, name, kind)| {
                let name = name.trim_start_matches("r#").to_owned();
                (*number, (name, (*kind).to_owned()))
            })
            .collect();
        assert_eq!(seen, expect, "{}", ours.name);
        compared += seen.len();
    }
    assert!(compared > 400, "{compared} fields");
}

#[test]
fn what_we_write_they_read_and_the_other_way_round() {
    for (ours, theirs) in known() {
        let all_known = ours.fields.iter().all(|field| !newer(ours.name, field.0));
        for seed in 0..300 {
            let bytes = (ours.sample)(&mut numbers(seed));
            if has_negative_capability(&bytes, ours.name) {
                continue;
            }
            let read = theirs
                .parse_from_bytes(&bytes)
                .unwrap_or_else(|error| panic!("{} {seed}: {error}", ours.name));
            if all_known {
                let unknown = read.unknown_fields_dyn().iter().count();
                assert_eq!(unknown, 0, "{} {seed}", ours.name);
            }
            let written = read.write_to_bytes_dyn().expect("it can be written");
            if all_known && !holds_newer(ours.name) {
                // Byte for byte: both write by number, and the shortest form.
                assert_eq!(written, bytes, "{} {seed}", ours.name);
            }
            assert_eq!((ours.again)(&written), Ok(bytes), "{} {seed}", ours.name);
        }
    }
}

/// rust-protobuf 3.7 writes a wrong length before packed enumerations that are negative; there is no capability below 0.
fn has_negative_capability(bytes: &[u8], name: &str) -> bool {
    name == BootstrapResult::NAME
        && BootstrapResult::decode(bytes)
            .expect("a sample")
            .capabilities
            .iter()
            .any(|one| *one < 0)
}

/// Whether a message has one with newer fields in it: theirs writes unknown fields last.
fn holds_newer(name: &str) -> bool {
    name == "io.containerd.cgroups.v2.Metrics"
}

/// Nobody but the Go code has it; what CRI sends was written down by hand: a type url, no path, a body.
#[test]
fn generic_options_are_as_go_writes_them() {
    let bytes = b"\x0a\x01t\x12\x02/p\x1a\x03a=1";
    let expect = GenericOptions {
        type_url: "t".into(),
        config_path: "/p".into(),
        config_body: b"a=1".to_vec(),
    };
    assert_eq!(GenericOptions::decode(bytes), Ok(expect));
}
