//! The log as callers read it: runc's JSON and text lines, and the plain message on stderr.
//!
//! A caller may read the whole file as one JSON object, so nothing but the one error is written unless asked for.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time=... level=... msg=...`
    Text,
    /// One JSON object.
    Json,
}

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The error that ends the program.
    Error,
    /// What was left out.
    Warning,
    /// What was done.
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Debug => "debug",
        }
    }
}

/// Where and how to write.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    format: Format,
    level: Level,
}

impl Log {
    /// To stderr.
    pub fn to_stderr(format: Format, level: Level) -> Log {
        Log {
            file: None,
            format,
            level,
        }
    }

    /// To a file, appended to, and made at once: callers open it even when nothing failed.
    pub fn to_file(path: &str, format: Format, level: Level) -> std::io::Result<Log> {
        let path = path.strip_prefix("file:").unwrap_or(path);
        // Callers parse it: nobody else may write, whatever the umask.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path)?;
        Ok(Log {
            file: Some(file),
            format,
            level,
        })
    }

    /// The error that ends the program: to the log, and plain to stderr.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        let whole = match hint {
            Some(hint) => format!("{message}; hint: {hint}"),
            None => message.to_owned(),
        };
        if self.file.is_some() || self.format == Format::Json {
            self.line(Level::Error, &whole);
        }
        if self.file.is_some() || self.format == Format::Text {
            let plain = match hint {
                Some(hint) => format!("{message}\nhint: {hint}\n"),
                None => format!("{message}\n"),
            };
            to_stderr(&plain);
        }
    }

    /// Something that was left out or ignored.
    pub fn warning(&self, message: &str) {
        if self.level >= Level::Warning {
            self.line(Level::Warning, message);
        } else if self.file.is_none() && self.format == Format::Text {
            to_stderr(&format!("warning: {message}\n"));
        }
    }

    /// What is being done.
    pub fn debug(&self, message: &str) {
        if self.level >= Level::Debug {
            self.line(Level::Debug, message);
        }
    }

    fn line(&self, level: Level, message: &str) {
        let line = render(self.format, level, message, SystemTime::now());
        match &self.file {
            // A full disk must not hide the message: stderr has it too.
            Some(file) => drop((&*file).write_all(line.as_bytes())),
            None => to_stderr(&line),
        }
    }
}

fn to_stderr(text: &str) {
    // A closed stderr is no reason to fail.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// One line, pure.
fn render(format: Format, level: Level, message: &str, time: SystemTime) -> String {
    let time = tare_runtime::rfc3339(time);
    let message = message.trim_end();
    match format {
        Format::Json => {
            let text = serde_json::Value::String(message.to_owned());
            format!(
                "{{\"level\":\"{}\",\"msg\":{text},\"time\":\"{time}\"}}\n",
                level.name()
            )
        }
        Format::Text => format!("time=\"{time}\" level={} msg={message:?}\n", level.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn lines_have_runcs_shape() {
        let time = UNIX_EPOCH + Duration::new(951_782_400, 5);
        assert_eq!(
            render(
                Format::Json,
                Level::Error,
                "exec: \"x\": not\tfound\n",
                time
            ),
            "{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": not\\tfound\",\"time\":\"2000-02-29T00:00:00.000000005Z\"}\n"
        );
        assert_eq!(
            render(Format::Text, Level::Warning, "a \"b\"", time),
            "time=\"2000-02-29T00:00:00.000000005Z\" level=warning msg=\"a \\\"b\\\"\"\n"
        );
    }

    #[test]
    fn a_file_is_made_at_once_and_gets_one_object() {
        let path = std::env::temp_dir().join(format!("trun-log-test-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let log = Log::to_file(name, Format::Json, Level::Error).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        log.warning("left out");
        log.debug("doing");
        log.error("it failed", Some("try again"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["level"], "error");
        assert_eq!(object["msg"], "it failed; hint: try again");
    }
}
