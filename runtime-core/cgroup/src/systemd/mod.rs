//! The systemd manager: a transient scope around the container's first process.
pub(crate) mod bus;
pub(crate) mod gvariant;
pub(crate) mod message;
pub(crate) mod properties;
pub(crate) mod unit;

use std::fmt;

/// A transient unit to be started around the child.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Bus address, such as `unix:path=/run/dbus/system_bus_socket`.
    pub address: String,
    /// Unit name, `docker-x.scope`.
    pub unit: String,
    /// The slice that holds it.
    pub slice: String,
    /// Properties in order; `PIDs` is added when the pid is known.
    pub properties: Vec<Property>,
}

/// A unit property.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Such as `MemoryMax`.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The systemd version that brought it, where older ones than Debian 10's 241 may be met; older managers don't get it.
    pub since: u32,
}

/// A D-Bus value of the types that unit properties have.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// An array, with the signature of one element.
    Array(String, Vec<Value>),
    /// A structure.
    Struct(Vec<Value>),
    /// One entry of a dictionary (an array of these is the dictionary).
    Entry(Box<(Value, Value)>),
    /// `v`
    Variant(Box<Value>),
}

/// The scope's cgroup, read from the text of its process's `/proc/PID/cgroup`: the v2 line, or else that of `name=systemd`.
pub(crate) fn path_of_unit(text: &str, unit: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let path = |prefix: &str| {
        lines.iter().find_map(|line| {
            line.split_once(':')
                .and_then(|(_, rest)| rest.strip_prefix(prefix))
        })
    };
    let up_to_unit = |path: &str| {
        let end = path.find(&format!("/{unit}"))? + unit.len() + 1;
        matches!(path.as_bytes().get(end), None | Some(b'/')).then(|| path[..end].to_string())
    };
    path(":")
        .and_then(up_to_unit)
        .or_else(|| path("name=systemd:").and_then(up_to_unit))
}

/// The planned path with the part up to the unit replaced by where systemd really put it.
pub(crate) fn real_path(actual: &str, planned: &str, scope: Option<&Scope>) -> String {
    let Some(unit) = scope.map(|scope| format!("/{}", scope.unit)) else {
        return planned.to_string();
    };
    match planned.split_once(&unit) {
        Some((_, below)) => format!("{actual}{below}"),
        None => planned.to_string(),
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.unit.ends_with(".slice") {
            "slice"
        } else {
            "scope"
        };
        write!(out, "systemd {kind} {} in {}", self.unit, self.slice)?;
        for property in &self.properties {
            if !properties::is_routine(&property.name) {
                write!(
                    out,
                    " {}={}",
                    property.name,
                    gvariant::Text(&property.value)
                )?;
            }
        }
        Ok(())
    }
}
