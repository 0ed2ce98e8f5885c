//! A registry in the test's own process, which misbehaves as it is told.
#![allow(dead_code, unused_imports, reason = "each test program uses a part")]

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tare_image::Digest;
use tare_image::manifest::{Descriptor, media};
use tare_tar::{Entry, Kind, Writer};

/// What came in, and what is there.
#[derive(Default)]
pub struct State {
    pub blobs: HashMap<Digest, Vec<u8>>,
    /// By `REPOSITORY TAG-OR-DIGEST`: media type and bytes.
    pub manifests: HashMap<String, (String, Vec<u8>)>,
    pub requests: Vec<Request>,
    /// What has come of uploads that are under way.
    pub uploads: HashMap<String, Vec<u8>>,
    /// How much of the next bodies of a PATCH or PUT is taken before the connection breaks; None: all.
    pub appetite: VecDeque<Option<usize>>,
    /// Connections that should break stop being read instead.
    pub stalls: bool,
    /// Bytes a second of one connection.
    pub pace: Option<u64>,
    begun: usize,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// The connection broke amid the body.
    pub cut: bool,
}

/// An answer; None of the handler's means the usual one.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How much of the body is sent before the connection breaks.
    pub cut: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Handler = dyn Fn(&Request, &mut State) -> Option<Answer> + Send + Sync;

pub struct Registry {
    pub address: String,
    pub state: Arc<Mutex<State>>,
}

impl Registry {
    pub fn new() -> Self {
        Self::with(|_, _| None)
    }

    /// `handler` answers first.
    pub fn with(
        handler: impl Fn(&Request, &mut State) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let handler: Arc<Handler> = Arc::new(handler);
        let shared = Arc::clone(&state);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, handler) = (Arc::clone(&shared), Arc::clone(&handler));
                std::thread::spawn(move || {
                    let _ = serve(stream, &state, &*handler);
                });
            }
        });
        Self { address, state }
    }

    pub fn put_blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        self.state
            .lock()
            .unwrap()
            .blobs
            .insert(digest, content.to_vec());
        digest
    }

    pub fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        content: &[u8],
    ) -> Digest {
        let digest = Digest::of(content);
        let mut state = self.state.lock().unwrap();
        for name in [tag.to_owned(), digest.to_string()] {
            let key = format!("{repository} {name}");
            state
                .manifests
                .insert(key, (media_type.to_owned(), content.to_vec()));
        }
        digest
    }

    /// An image of layers, each a list of files.
    pub fn put_image(
        &self,
        repository: &str,
        tag: &str,
        layers: &[Vec<(String, Vec<u8>)>],
    ) -> Image {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for files in layers {
            let archive = archive(files);
            diff_ids.push(Digest::of(&archive));
            let blob = zstd::bulk::compress(&archive, 1).unwrap();
            descriptors.push(Descriptor::of(media::LAYER_ZSTD, &blob));
            self.put_blob(&blob);
        }
        let config = serde_json::json!({
            "architecture": tare_image::Platform::host().architecture, "os": "linux",
            "config": { "Cmd": ["sh"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        self.put_blob(&config);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::MANIFEST,
            "config": Descriptor::of(media::CONFIG, &config),
            "layers": descriptors,
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = self.put_manifest(repository, tag, media::MANIFEST, &manifest);
        Image {
            digest,
            diff_ids,
            blobs: descriptors
                .iter()
                .map(|descriptor| descriptor.digest)
                .collect(),
        }
    }

    /// Requests of a method whose path contains something.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.state.lock().unwrap();
        let fits = |request: &&Request| request.method == method && request.path.contains(part);
        state.requests.iter().filter(fits).count()
    }
}

pub struct Image {
    pub digest: Digest,
    pub diff_ids: Vec<Digest>,
    pub blobs: Vec<Digest>,
}

pub fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (path, content) in files {
        let mut entry = Entry::new(Kind::File, path.as_bytes(), 0o644);
        entry.size = content.len() as u64;
        writer.entry(&entry);
        writer.data(content);
    }
    writer.finish();
    std::mem::take(writer.output())
}

fn serve(stream: TcpStream, state: &Mutex<State>, handler: &Handler) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let Some(request) = read(&mut reader, state)? else {
            return Ok(());
        };
        let answer = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            handler(&request, &mut state).unwrap_or_else(|| usual(&request, &mut state))
        };
        if request.cut {
            if state.lock().unwrap().stalls {
                std::thread::sleep(std::time::Duration::from_secs(10));
            }
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        let told = answer
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !told {
            head += &format!("content-length: {}\r\n", answer.body.len());
        }
        out.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            let length = answer
                .cut
                .unwrap_or(answer.body.len())
                .min(answer.body.len());
            let pace = state.lock().unwrap().pace;
            paced(&mut out, &answer.body[..length], pace)?;
        }
        if answer.cut.is_some() {
            return Ok(());
        }
    }
}

/// Writes a body, no faster than a pace.
fn paced(out: &mut TcpStream, body: &[u8], pace: Option<u64>) -> std::io::Result<()> {
    let Some(pace) = pace else {
        return out.write_all(body);
    };
    let begun = std::time::Instant::now();
    for (number, piece) in body.chunks(16 << 10).enumerate() {
        let due = std::time::Duration::from_secs_f64((number << 14) as f64 / pace as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        out.write_all(piece)?;
    }
    Ok(())
}

fn read(
    reader: &mut BufReader<TcpStream>,
    state: &Mutex<State>,
) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    // Whoever tries TLS first sends no line.
    let mut words = line.split(' ');
    let (Some(method), Some(path), Some(_)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = Vec::new();
    let mut cut = false;
    if headers
        .get("transfer-encoding")
        .is_some_and(|value| value == "chunked")
    {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
            reader.by_ref().take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = headers
            .get("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        let sends = length > 0 && matches!(method, "PATCH" | "PUT");
        let taken = match sends {
            true => state.lock().unwrap().appetite.pop_front().flatten(),
            false => None,
        };
        cut = taken.is_some();
        let length = taken.map_or(length, |taken| length.min(taken as u64));
        reader.by_ref().take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body,
        cut,
    }))
}

/// What a registry that behaves answers.
pub fn usual(request: &Request, state: &mut State) -> Answer {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let Some(rest) = path.strip_prefix("/v2/") else {
        return Answer::new(404, "");
    };
    if rest.is_empty() {
        return Answer::new(200, "{}");
    }
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    if let Some((repository, wanted)) = rest.split_once("/manifests/") {
        if request.method == "PUT" {
            let digest = Digest::of(&request.body);
            let media_type = request.headers["content-type"].clone();
            for name in [wanted.to_owned(), digest.to_string()] {
                let key = format!("{repository} {name}");
                state
                    .manifests
                    .insert(key, (media_type.clone(), request.body.clone()));
            }
            return Answer::new(201, "").header("docker-content-digest", digest.to_string());
        }
        return match state.manifests.get(&format!("{repository} {wanted}")) {
            Some((media_type, content)) => {
                Answer::new(200, content.clone()).header("content-type", media_type.clone())
            }
            None => Answer::new(
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            ),
        };
    }
    if let Some((repository, upload)) = rest.split_once("/blobs/uploads/") {
        if request.method == "POST" {
            if let Some(Ok(digest)) = parameter("mount").map(str::parse::<Digest>)
                && state.blobs.contains_key(&digest)
            {
                return Answer::new(201, "");
            }
            state.begun += 1;
            let upload = state.begun.to_string();
            state.uploads.insert(upload.clone(), Vec::new());
            return placed(202, repository, &upload, 0);
        }
        return uploaded(
            request,
            state,
            repository,
            upload,
            parameter("state"),
            parameter("digest"),
        );
    }
    if let Some((_, digest)) = rest.split_once("/blobs/") {
        let Some(content) = digest
            .parse()
            .ok()
            .and_then(|digest: Digest| state.blobs.get(&digest))
        else {
            return Answer::new(
                404,
                r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}"#,
            );
        };
        let all = content.len();
        let range = request.headers.get("range").and_then(|range| {
            let (begin, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            let end = last.parse::<usize>().map_or(all, |last| all.min(last + 1));
            Some((begin.parse::<usize>().ok()?, end))
        });
        return match range {
            Some((begin, end)) => Answer::new(206, content[begin..end].to_vec())
                .header("content-range", format!("bytes {begin}-{}/{all}", end - 1)),
            None => Answer::new(200, content.clone()),
        };
    }
    Answer::new(404, "")
}

/// An answer that says where an upload goes on.
fn placed(status: u16, repository: &str, upload: &str, length: usize) -> Answer {
    let place = format!("/v2/{repository}/blobs/uploads/{upload}?state={length}");
    Answer::new(status, "")
        .header("location", place)
        .header("range", format!("0-{}", length.saturating_sub(1)))
}

/// A request to an upload that is under way.
fn uploaded(
    request: &Request,
    state: &mut State,
    repository: &str,
    upload: &str,
    at: Option<&str>,
    digest: Option<&str>,
) -> Answer {
    let Some(content) = state.uploads.get_mut(upload) else {
        return Answer::new(
            404,
            r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}"#,
        );
    };
    let length = content.len();
    match request.method.as_str() {
        "GET" => placed(204, repository, upload, length),
        "DELETE" => {
            state.uploads.remove(upload);
            Answer::new(204, "")
        }
        "PATCH" => {
            let range = &request.headers["content-range"];
            let end = length + request.headers["content-length"].parse::<usize>().unwrap();
            let fits = *range == format!("{length}-{}", end - 1);
            // An older place than the last answer's is out of date.
            if !fits || at != Some(&length.to_string()) {
                return placed(416, repository, upload, length);
            }
            content.extend_from_slice(&request.body);
            let length = content.len();
            placed(202, repository, upload, length)
        }
        "PUT" => {
            content.extend_from_slice(&request.body);
            let found = Digest::of(content);
            if digest != Some(found.to_string().as_str()) {
                return Answer::new(
                    400,
                    r#"{"errors":[{"code":"DIGEST_INVALID","message":"wrong"}]}"#,
                );
            }
            let content = state.uploads.remove(upload).unwrap();
            state.blobs.insert(found, content);
            Answer::new(201, "")
        }
        _ => Answer::new(405, ""),
    }
}
