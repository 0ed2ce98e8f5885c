//! `--change`: single instructions of a Dockerfile that set what an image runs (Dockerfile reference).

use serde_json::{Value, json};
use tare_image::manifest::RunConfig;

/// The configuration that the instructions make of one.
pub fn apply(mut config: RunConfig, instructions: &[String]) -> Result<RunConfig, String> {
    for text in instructions {
        let (word, rest) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text.trim(), ""));
        let rest = rest.trim();
        let wrong = |why: &str| format!("--change {text:?}: {why}");
        if rest.is_empty() {
            return Err(wrong("the instruction says nothing"));
        }
        match word.to_ascii_uppercase().as_str() {
            "CMD" => config.cmd = command(rest),
            "ENTRYPOINT" => config.entrypoint = command(rest),
            "USER" => config.user = rest.to_owned(),
            "WORKDIR" => config.working_dir = rest.to_owned(),
            "STOPSIGNAL" => config.stop_signal = rest.to_owned(),
            "ENV" => {
                for (name, value) in
                    pairs(rest).ok_or_else(|| wrong("it must be NAME=VALUE, or NAME VALUE"))?
                {
                    config
                        .env
                        .retain(|other| other.split('=').next() != Some(&name));
                    config.env.push(format!("{name}={value}"));
                }
            }
            "LABEL" => {
                for (name, value) in pairs(rest).ok_or_else(|| wrong("it must be NAME=VALUE"))? {
                    config.labels.insert(name, Value::String(value));
                }
            }
            "EXPOSE" | "VOLUME" => {
                let key = if word.eq_ignore_ascii_case("expose") {
                    "ExposedPorts"
                } else {
                    "Volumes"
                };
                let entry = config
                    .other
                    .entry(key.to_owned())
                    .or_insert_with(|| json!({}));
                let names: Vec<String> = if rest.starts_with('[') {
                    command(rest)
                } else {
                    rest.split_whitespace().map(str::to_owned).collect()
                };
                for name in names {
                    let name = if key == "ExposedPorts" && !name.contains('/') {
                        format!("{name}/tcp")
                    } else {
                        name
                    };
                    entry[name] = json!({});
                }
            }
            other => return Err(wrong(&format!("{other} can't change an image"))),
        }
    }
    Ok(config)
}

/// A JSON list, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

/// `A=1 B="x y"`, or the old `A the rest`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let words = words(text);
    if !words.first()?.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let split = words.iter().map(|word| {
        word.split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    });
    split
        .collect::<Option<Vec<_>>>()
        .filter(|pairs| pairs.iter().all(|(name, _)| !name.is_empty()))
}

/// Words, where quotes and backslashes keep blanks.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', quote) if quote != Some('\'') => {
                word.get_or_insert_default().extend(letters.next())
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_whitespace() => found.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(instructions: &[&str]) -> Result<RunConfig, String> {
        let instructions: Vec<String> =
            instructions.iter().map(|text| (*text).to_owned()).collect();
        apply(RunConfig::default(), &instructions)
    }

    #[test]
    fn instructions() {
        let config = changed(&[
            r#"CMD ["a", "b c"]"#,
            "entrypoint exec x",
            r#"ENV A=1 B="x y" C=\ z"#,
            "ENV A 2 and more",
            "LABEL one=1",
            "EXPOSE 80 53/udp",
            "WORKDIR /w",
        ])
        .unwrap();
        assert_eq!(config.cmd, ["a", "b c"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "exec x"]);
        assert_eq!(config.env, ["B=x y", "C= z", "A=2 and more"]);
        assert_eq!(config.labels["one"], "1");
        assert_eq!(
            config.other["ExposedPorts"],
            json!({"80/tcp": {}, "53/udp": {}})
        );
        assert_eq!(config.working_dir, "/w");
        for wrong in ["RUN x", "CMD", "ENV", "ENV =1", "LABEL x", ""] {
            assert!(changed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
