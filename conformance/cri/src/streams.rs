//! Exec and attach over a WebSocket, as kubectl does it: a byte before each message says which stream it is of.

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// What came until the other side closed.
#[derive(Debug, Default)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    /// The last word, as JSON: how the command ended.
    pub status: String,
}

/// What is done before the end is waited for.
pub enum Step<'a> {
    /// Writes to standard input.
    Write(&'a str),
    /// Columns and rows.
    Resize(u16, u16),
    /// Waits until standard output has it.
    Await(&'a str),
    /// Goes away.
    Leave,
}

/// Follows a URL of Exec or Attach.
pub async fn follow(url: &str, steps: &[Step<'_>]) -> Result<Said, String> {
    let address = url.replacen("http://", "ws://", 1);
    let mut request = address
        .as_str()
        .into_client_request()
        .map_err(|error| format!("{url}: {error}"))?;
    let protocol = "v4.channel.k8s.io".parse().map_err(|_| "a header")?;
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let host = address.trim_start_matches("ws://").split('/').next();
    let stream = tokio::net::TcpStream::connect(host.unwrap_or_default())
        .await
        .map_err(|error| format!("{url}: {error}"))?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .map_err(|error| format!("{url}: {error}"))?;
    let mut said = Said::default();
    let work = async {
        for step in steps {
            let frame = match step {
                Step::Write(text) => [&[STDIN], text.as_bytes()].concat(),
                Step::Resize(columns, rows) => {
                    let size = format!(r#"{{"Width":{columns},"Height":{rows}}}"#);
                    [&[RESIZE], size.as_bytes()].concat()
                }
                Step::Await(word) => {
                    while !said.stdout.contains(word) {
                        if !take(&mut socket, &mut said).await? {
                            return Err(format!("closed before {word:?}: {said:?}"));
                        }
                    }
                    continue;
                }
                Step::Leave => return Ok(()),
            };
            let sent = socket.send(Message::Binary(frame.into())).await;
            sent.map_err(|error| error.to_string())?;
        }
        while take(&mut socket, &mut said).await? {}
        Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(15), work).await {
        Ok(done) => done?,
        Err(_) => return Err(format!("no end within 15 s: {said:?}")),
    }
    Ok(said)
}

/// Whether there may be more.
async fn take<S>(socket: &mut S, said: &mut Said) -> Result<bool, String>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let bytes = match socket.next().await {
        Some(Ok(Message::Binary(bytes))) => bytes,
        Some(Ok(Message::Close(_))) | None => return Ok(false),
        Some(Ok(_)) => return Ok(true),
        Some(Err(error)) => return Err(error.to_string()),
    };
    if let Some((stream, rest)) = bytes.split_first() {
        let text = String::from_utf8_lossy(rest);
        match *stream {
            STDOUT => said.stdout += &text,
            STDERR => said.stderr += &text,
            ERROR => said.status += &text,
            _ => {}
        }
    }
    Ok(true)
}
