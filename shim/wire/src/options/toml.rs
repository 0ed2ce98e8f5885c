//! TOML's events made options: only the keys at the top are ours, the rest must be well-formed.
use super::{Error, Options, Sharing};
use std::collections::BTreeSet;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, ParseError, Source, Span};

/// How deep arrays and inline tables may nest.
const MOST_DEPTH: u32 = 32;

/// Reads a document.
pub fn read(text: &str) -> Result<Options, Error> {
    let source = Source::new(text);
    let mut reader = Reader {
        source,
        options: Options::default(),
        place: Place::Top,
        key: None,
        dotted: false,
        depth: 0,
        seen: BTreeSet::new(),
        wrong: None,
    };
    let mut syntax: Option<ParseError> = None;
    let tokens = source.lex().into_vec();
    let mut checked = ValidateWhitespace::new(&mut reader, source);
    let mut guarded = RecursionGuard::new(&mut checked, MOST_DEPTH);
    parse_document(&tokens, &mut guarded, &mut syntax);
    if let Some(error) = syntax {
        let at = error.unexpected().or(error.context());
        return Err(Error::Toml {
            line: line(text, at.map_or(text.len(), |span| span.start())),
            why: error.description().to_owned(),
        });
    }
    match reader.wrong {
        Some(error) => Err(error),
        None => Ok(reader.options),
    }
}

/// Where in the document the reader is.
#[derive(PartialEq)]
enum Place {
    /// Among the keys that may be options.
    Top,
    /// In the brackets of a table's header.
    Header,
    /// Below a header, up to the end.
    Table,
}

/// What a key has.
enum Value<'a> {
    Text(&'a str),
    Boolean(bool),
    /// Digits, and their radix.
    Integer(&'a str, u32),
    /// Nothing that an option can be, by its name.
    Other(&'static str),
}

struct Reader<'i> {
    source: Source<'i>,
    options: Options,
    place: Place,
    /// The first part of the key, and where it stands.
    key: Option<(String, usize)>,
    /// Whether the key has more parts.
    dotted: bool,
    /// Arrays and inline tables that are open.
    depth: u32,
    /// Keys that have a value of their own: no second one may come.
    seen: BTreeSet<String>,
    /// The first thing that is wrong with a value.
    wrong: Option<Error>,
}

impl Reader<'_> {
    /// Whether what comes is the value of a key at the top, or part of one.
    fn at_top(&self) -> bool {
        self.depth == 0 && self.place == Place::Top
    }

    /// The key's value is there.
    fn value(&mut self, value: Value<'_>) {
        let Some((key, at)) = self.key.take() else {
            return;
        };
        let table = std::mem::take(&mut self.dotted) || self.place == Place::Header;
        let again = if table {
            self.seen.contains(&key)
        } else {
            !self.seen.insert(key.clone())
        };
        if again {
            self.refuse(at, &key, "a second value", "one");
        } else if table {
            self.option(&key, at, &Value::Other("a table"));
        } else {
            self.option(&key, at, &value);
        }
    }

    fn option(&mut self, key: &str, at: usize, value: &Value<'_>) {
        let runc = &mut self.options.runc;
        let taken = match key.to_ascii_lowercase().as_str() {
            "nopivotroot" => boolean(&mut runc.no_pivot_root, value),
            "nonewkeyring" => boolean(&mut runc.no_new_keyring, value),
            "systemdcgroup" => boolean(&mut runc.systemd_cgroup, value),
            "shimcgroup" => text(&mut runc.shim_cgroup, value),
            "binaryname" => text(&mut runc.binary_name, value),
            "root" => text(&mut runc.root, value),
            "criuimagepath" => text(&mut runc.criu_image_path, value),
            "criuworkpath" => text(&mut runc.criu_work_path, value),
            "taskapiaddress" => text(&mut runc.task_api_address, value),
            "iouid" => number(&mut runc.io_uid, value),
            "iogid" => number(&mut runc.io_gid, value),
            "taskapiversion" => number(&mut runc.task_api_version, value),
            "shimsharing" => sharing(&mut self.options.sharing, value),
            // These are containerd's own: which message to send, and how.
            "typeurl" | "configpath" | "configbody" => Ok(()),
            _ => {
                if !self.options.ignored.iter().any(|known| known == key) {
                    self.options.ignored.push(key.to_owned());
                }
                Ok(())
            }
        };
        if let Err(expected) = taken {
            self.refuse(at, key, value.name(), expected);
        }
    }

    fn refuse(&mut self, at: usize, key: &str, found: &'static str, expected: &'static str) {
        let line = line(self.source.input(), at);
        self.wrong.get_or_insert_with(|| Error::Value {
            line,
            key: key.to_owned(),
            found,
            expected,
        });
    }

    fn open(&mut self, name: &'static str) -> bool {
        if self.at_top() {
            self.value(Value::Other(name));
        }
        self.depth += 1;
        true
    }

    fn header(&mut self) {
        self.place = Place::Header;
        self.key = None;
    }

    fn header_ends(&mut self) {
        self.value(Value::Other("a table"));
        self.place = Place::Table;
    }
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header();
    }

    fn std_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header_ends();
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header();
    }

    fn array_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.header_ends();
    }

    fn inline_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) -> bool {
        self.open("a table")
    }

    fn inline_table_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn array_open(&mut self, _: Span, _: &mut dyn ErrorSink) -> bool {
        self.open("an array")
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = self.source.get(span) else {
            return;
        };
        let mut key = String::new();
        toml_parser::Raw::new_unchecked(raw.as_str(), encoding, span).decode_key(&mut key, errors);
        if self.depth > 0 || self.place == Place::Table {
            return;
        }
        if self.key.is_none() {
            self.key = Some((key, span.start()));
        } else {
            self.dotted = true;
        }
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = self.source.get(span) else {
            return;
        };
        let mut text = String::new();
        let kind = toml_parser::Raw::new_unchecked(raw.as_str(), encoding, span)
            .decode_scalar(&mut text, errors);
        if self.at_top() {
            self.value(match kind {
                ScalarKind::String => Value::Text(&text),
                ScalarKind::Boolean(value) => Value::Boolean(value),
                ScalarKind::Integer(radix) => Value::Integer(&text, radix.value()),
                ScalarKind::Float => Value::Other("a float"),
                ScalarKind::DateTime => Value::Other("a date or time"),
            });
        }
    }
}

impl Value<'_> {
    fn name(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Boolean(_) => "a boolean",
            Value::Integer(..) => "an integer",
            Value::Other(name) => name,
        }
    }
}

fn boolean(place: &mut bool, value: &Value<'_>) -> Result<(), &'static str> {
    match value {
        Value::Boolean(value) => *place = *value,
        _ => return Err("true or false"),
    }
    Ok(())
}

fn text(place: &mut String, value: &Value<'_>) -> Result<(), &'static str> {
    match value {
        Value::Text(value) => (*value).clone_into(place),
        _ => return Err("a text"),
    }
    Ok(())
}

fn number(place: &mut u32, value: &Value<'_>) -> Result<(), &'static str> {
    const EXPECTED: &str = "an integer from 0 to 4294967295";
    match value {
        Value::Integer(digits, radix) => {
            *place = u32::from_str_radix(digits, *radix).map_err(|_| EXPECTED)?;
        }
        _ => return Err(EXPECTED),
    }
    Ok(())
}

fn sharing(place: &mut Sharing, value: &Value<'_>) -> Result<(), &'static str> {
    match value {
        Value::Text("pod") => *place = Sharing::Pod,
        Value::Text("node") => *place = Sharing::Node,
        _ => return Err("\"pod\" or \"node\""),
    }
    Ok(())
}

fn line(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
