//! GVariant text, the form in which `org.systemd.property.*` annotations give their values. Pure.
//!
//! Read are all types that D-Bus has (GVariant's maybes are not among them): numbers with and without a type word, `@type value`,
//! strings, byte strings, arrays, tuples, dictionaries, variants.
use super::Value;
use std::fmt;

const DEEPEST: usize = 16;

/// Reads one value.
///
/// Errors: what is wrong and at which byte.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    let value = parser.value(None)?;
    parser.space();
    if parser.at < text.len() {
        return Err(parser.error("more text after the value"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// Type words, and their signatures.
const WORDS: [(&str, &str); 12] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

impl<'a> Parser<'a> {
    fn value(&mut self, expect: Option<&str>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        self.space();
        let value = match self.peek() {
            Some('[') => self.array(expect),
            Some('(') => self.tuple(expect),
            Some('{') => self.dictionary(expect),
            Some('<') => self.variant(),
            Some('@') => self.typed(),
            Some('\'' | '"') => self.string().and_then(|text| self.text_of(text, expect)),
            Some('b') if self.rest().starts_with("b'") || self.rest().starts_with("b\"") => {
                self.bytes()
            }
            Some(letter) if letter.is_ascii_digit() || "+-.".contains(letter) => {
                self.number(expect)
            }
            Some(letter) if letter.is_ascii_alphabetic() => self.word(expect),
            Some(_) => Err(self.error("not a value")),
            None => Err(self.error("the value is missing")),
        };
        self.depth -= 1;
        value
    }

    fn word(&mut self, expect: Option<&str>) -> Result<Value, String> {
        let word = self.take(|letter| letter.is_ascii_alphanumeric());
        match (word, expect) {
            ("true", None | Some("b")) => return Ok(Value::Bool(true)),
            ("false", None | Some("b")) => return Ok(Value::Bool(false)),
            ("inf" | "nan", None | Some("d")) => {
                return word
                    .parse()
                    .map(Value::Double)
                    .map_err(|_| self.error("not a number"));
            }
            _ => {}
        }
        match WORDS.iter().find(|(name, _)| *name == word) {
            Some((_, signature)) if expect.is_none_or(|expect| expect == *signature) => {
                self.value(Some(signature))
            }
            _ => Err(self.error(&format!("unknown or unfit word {word:?}"))),
        }
    }

    fn typed(&mut self) -> Result<Value, String> {
        self.at += 1;
        let signature = self
            .take(|letter| letter.is_ascii_alphabetic() || "(){}".contains(letter))
            .to_string();
        if !is_one_type(&signature) {
            return Err(self.error(&format!("{signature:?} is no D-Bus type")));
        }
        self.value(Some(&signature))
    }

    fn number(&mut self, expect: Option<&str>) -> Result<Value, String> {
        let token = self
            .take(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
            .to_string();
        let unfit = || format!("{token} doesn't fit type {}", expect.unwrap_or("i"));
        let real = token.contains(['.', 'e', 'E']) && !token.contains("0x");
        if expect == Some("d") || (expect.is_none() && real) {
            return token
                .parse()
                .map(Value::Double)
                .map_err(|_| self.error(&unfit()));
        }
        let whole = whole(&token).ok_or_else(|| self.error(&unfit()))?;
        let value = match expect.unwrap_or("i") {
            "y" => whole.try_into().map(Value::Byte),
            "n" => whole.try_into().map(Value::I16),
            "q" => whole.try_into().map(Value::U16),
            "i" => whole.try_into().map(Value::I32),
            "u" => whole.try_into().map(Value::U32),
            "x" => whole.try_into().map(Value::I64),
            "t" => whole.try_into().map(Value::U64),
            _ => return Err(self.error(&unfit())),
        };
        value.map_err(|_| self.error(&unfit()))
    }

    fn text_of(&self, text: String, expect: Option<&str>) -> Result<Value, String> {
        match expect {
            None | Some("s") => Ok(Value::Text(text)),
            Some("o") if is_object_path(&text) => Ok(Value::Path(text)),
            Some("g") if types(&text).is_some() => Ok(Value::Signature(text)),
            Some(other) => Err(self.error(&format!("a string can't be of type {other}"))),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().unwrap_or('"');
        self.at += 1;
        let mut out = String::new();
        loop {
            let letter = self
                .next()
                .ok_or_else(|| self.error("the string has no end"))?;
            if letter == quote {
                return Ok(out);
            }
            if letter != '\\' {
                out.push(letter);
                continue;
            }
            let escaped = self
                .next()
                .ok_or_else(|| self.error("the string has no end"))?;
            out.push(match escaped {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                'u' => self.code(4)?,
                'U' => self.code(8)?,
                '\n' => continue,
                other => other,
            });
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        let hex = self
            .rest()
            .get(..digits)
            .ok_or_else(|| self.error("a short escape"))?;
        let code = u32::from_str_radix(hex, 16)
            .ok()
            .and_then(char::from_u32)
            .filter(|code| *code != '\0');
        let code = code.ok_or_else(|| self.error("no character has that code"))?;
        self.at += digits;
        Ok(code)
    }

    fn bytes(&mut self) -> Result<Value, String> {
        self.at += 1;
        let text = self.string()?;
        Ok(Value::Array(
            "y".to_string(),
            text.bytes().chain([0]).map(Value::Byte).collect(),
        ))
    }

    fn array(&mut self, expect: Option<&str>) -> Result<Value, String> {
        let element = match expect {
            Some(signature) => Some(
                signature
                    .strip_prefix('a')
                    .ok_or_else(|| self.error("an array where none is expected"))?,
            ),
            None => None,
        };
        let start = self.at;
        let items = self.items('[', ']', element)?;
        let Some(first) = items.first() else {
            return match element {
                Some(element) => Ok(Value::Array(element.to_string(), Vec::new())),
                None => Err(self.error("an empty array needs its type: @as []")),
            };
        };
        let signatures: Vec<String> = items.iter().map(Value::signature).collect();
        // `[uint64 1, 2]`: an element with a type gives it to those without.
        match signatures
            .iter()
            .find(|signature| **signature != "i")
            .unwrap_or(&signatures[0])
        {
            common if signatures.iter().all(|signature| signature == common) => {
                Ok(Value::Array(first.signature(), items))
            }
            common if element.is_none() => {
                self.at = start;
                let common = common.clone();
                let items = self.items('[', ']', Some(&common))?;
                Ok(Value::Array(common, items))
            }
            _ => Err(self.error("the elements differ in type")),
        }
    }

    fn tuple(&mut self, expect: Option<&str>) -> Result<Value, String> {
        let inner = match expect {
            Some(signature) => {
                let inner = signature
                    .strip_prefix('(')
                    .and_then(|rest| rest.strip_suffix(')'));
                Some(
                    inner
                        .and_then(types)
                        .ok_or_else(|| self.error("a tuple where none is expected"))?,
                )
            }
            None => None,
        };
        self.at += 1;
        let mut items = Vec::new();
        while !self.eat(')') {
            let expect = match &inner {
                Some(types) => Some(
                    types
                        .get(items.len())
                        .ok_or_else(|| self.error("too many members"))?
                        .as_str(),
                ),
                None => None,
            };
            items.push(self.value(expect)?);
            if !self.eat(',') && !self.rest_after_space().starts_with(')') {
                return Err(self.error("a comma or ) is missing"));
            }
        }
        if items.is_empty() || inner.is_some_and(|types| types.len() != items.len()) {
            return Err(self.error("too few members"));
        }
        Ok(Value::Struct(items))
    }

    fn dictionary(&mut self, expect: Option<&str>) -> Result<Value, String> {
        let types = match expect {
            Some(signature) => {
                let inner = signature
                    .strip_prefix("a{")
                    .and_then(|rest| rest.strip_suffix('}'))
                    .and_then(types);
                Some(
                    inner
                        .filter(|types| types.len() == 2)
                        .ok_or_else(|| self.error("a dictionary where none is expected"))?,
                )
            }
            None => None,
        };
        let (key_type, value_type) = (
            types.as_ref().map(|types| types[0].as_str()),
            types.as_ref().map(|types| types[1].as_str()),
        );
        self.at += 1;
        let mut entries = Vec::new();
        while !self.eat('}') {
            let key = self.value(key_type)?;
            if !self.eat(':') {
                return Err(self.error("a colon is missing"));
            }
            let value = self.value(value_type)?;
            entries.push(Value::Entry(Box::new((key, value))));
            if !self.eat(',') && !self.rest_after_space().starts_with('}') {
                return Err(self.error("a comma or } is missing"));
            }
        }
        let Some(signature) = expect
            .map(|expect| expect[1..].to_string())
            .or_else(|| entries.first().map(Value::signature))
        else {
            return Err(self.error("an empty dictionary needs its type: @a{sv} {}"));
        };
        if entries.iter().any(|entry| entry.signature() != signature) {
            return Err(self.error("the entries differ in type"));
        }
        Ok(Value::Array(signature, entries))
    }

    fn variant(&mut self) -> Result<Value, String> {
        self.at += 1;
        let value = self.value(None)?;
        if !self.eat('>') {
            return Err(self.error("> is missing"));
        }
        Ok(Value::Variant(Box::new(value)))
    }

    fn items(
        &mut self,
        open: char,
        close: char,
        expect: Option<&str>,
    ) -> Result<Vec<Value>, String> {
        debug_assert_eq!(self.peek(), Some(open));
        self.at += 1;
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value(expect)?);
            if !self.eat(',') && !self.rest_after_space().starts_with(close) {
                return Err(self.error(&format!("a comma or {close} is missing")));
            }
        }
        Ok(items)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn rest_after_space(&mut self) -> &'a str {
        self.space();
        self.rest()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn eat(&mut self, letter: char) -> bool {
        self.space();
        let there = self.peek() == Some(letter);
        if there {
            self.at += letter.len_utf8();
        }
        there
    }

    fn space(&mut self) {
        self.take(char::is_whitespace);
    }

    fn take(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|letter| !keep(letter)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn error(&self, why: &str) -> String {
        format!("{why} (byte {} of {:?})", self.at, self.text)
    }
}

fn whole(token: &str) -> Option<i128> {
    let (negative, digits) = match token.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, token.strip_prefix('+').unwrap_or(token)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match digits {
        _ if digits.starts_with("0x") || digits.starts_with("0X") => {
            i128::from_str_radix(&digits[2..], 16).ok()?
        }
        _ if digits.len() > 1 && digits.starts_with('0') => {
            i128::from_str_radix(&digits[1..], 8).ok()?
        }
        _ => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

fn is_object_path(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(part))
}

fn is_one_type(signature: &str) -> bool {
    types(signature).is_some_and(|types| types.len() == 1)
}

/// Splits a signature into complete types; None if it is malformed.
pub(crate) fn types(signature: &str) -> Option<Vec<String>> {
    let mut rest = signature;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = type_length(rest, 0)?;
        all.push(rest.get(..length)?.to_string());
        rest = rest.get(length..)?;
    }
    Some(all)
}

fn type_length(signature: &str, depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    let first = *signature.as_bytes().first()?;
    match first {
        b'b' | b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g'
        | b'v' => Some(1),
        b'a' => Some(1 + type_length(signature.get(1..)?, depth + 1)?),
        b'(' | b'{' => {
            let close = if first == b'(' { b')' } else { b'}' };
            let mut at = 1;
            let mut members = 0;
            while *signature.as_bytes().get(at)? != close {
                at += type_length(signature.get(at..)?, depth + 1)?;
                members += 1;
            }
            (members > 0 && (first == b'(' || members == 2)).then_some(at + 1)
        }
        _ => None,
    }
}

/// Writes a value as text, without types: for people.
pub(crate) struct Text<'a>(pub &'a Value);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(value) => write!(out, "{value}"),
            Value::Byte(value) => write!(out, "{value:#04x}"),
            Value::I16(value) => write!(out, "{value}"),
            Value::U16(value) => write!(out, "{value}"),
            Value::I32(value) => write!(out, "{value}"),
            Value::U32(value) => write!(out, "{value}"),
            Value::I64(value) => write!(out, "{value}"),
            Value::U64(u64::MAX) => out.write_str("infinity"),
            Value::U64(value) => write!(out, "{value}"),
            Value::Double(value) => write!(out, "{value}"),
            Value::Text(text) | Value::Path(text) | Value::Signature(text) => {
                write!(out, "{text:?}")
            }
            Value::Array(_, items) => list(out, '[', items, ']'),
            Value::Struct(items) => list(out, '(', items, ')'),
            Value::Entry(entry) => write!(out, "{}: {}", Text(&entry.0), Text(&entry.1)),
            Value::Variant(value) => write!(out, "<{}>", Text(value)),
        }
    }
}

fn list(out: &mut fmt::Formatter<'_>, open: char, items: &[Value], close: char) -> fmt::Result {
    write!(out, "{open}")?;
    for (index, item) in items.iter().enumerate() {
        write!(out, "{}{}", if index > 0 { ", " } else { "" }, Text(item))?;
    }
    write!(out, "{close}")
}

#[cfg(test)]
#[path = "gvariant_tests.rs"]
mod tests;
