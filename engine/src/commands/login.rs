//! `tare login` and `tare logout`.

use super::print;
use crate::cli::{Login, Logout};
use crate::failure::Failure;
use crate::place::{docker_config, registry_settings};
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::io::{Read, Write};
use std::path::PathBuf;
use tare_image::registry::{Client, Credentials, Settings, store_credentials};

fn registry(server: Option<&str>) -> String {
    let server = server.unwrap_or("docker.io");
    let bare = server
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

fn config() -> Result<PathBuf, Failure> {
    docker_config()
        .ok_or_else(|| Failure::new("neither DOCKER_CONFIG nor HOME says where to keep the login"))
}

pub fn login(words: &Login) -> Result<(), Failure> {
    let registry = registry(words.server.as_deref());
    if words.password_stdin && (words.password.is_some() || words.username.is_none()) {
        return Err(Failure::new(
            "--password-stdin goes with --username and without --password",
        ));
    }
    let username = match &words.username {
        Some(name) => name.clone(),
        None => ask("Username: ", false)?,
    };
    let password = match &words.password {
        Some(password) => password.clone(),
        None if words.password_stdin => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::new(format!("standard input: {error}")))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => ask("Password: ", true)?,
    };
    if username.is_empty() || password.is_empty() {
        return Err(Failure::new("a name and a password are needed"));
    }
    let credentials = Credentials::Basic { username, password };
    let client = Client::new(Settings {
        credentials: Some((registry.clone(), credentials.clone())),
        ..registry_settings()
    });
    client.check(&registry)?;
    let place = store_credentials(&config()?, &registry, Some(&credentials))?;
    eprintln!("Credentials are kept in {place}");
    print("Login Succeeded\n")
}

pub fn logout(words: &Logout) -> Result<(), Failure> {
    let registry = registry(words.server.as_deref());
    store_credentials(&config()?, &registry, None)?;
    print(&format!("Removing login credentials for {registry}\n"))
}

/// A line from the terminal; a secret is not shown.
fn ask(prompt: &str, secret: bool) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !isatty(&stdin) {
        return Err(Failure::new(
            "cannot ask without a terminal: use --username and --password-stdin",
        ));
    }
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let before = if secret { tcgetattr(&stdin).ok() } else { None };
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes &= !LocalModes::ECHO;
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &silent);
    }
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    if let Some(before) = &before {
        let _ = tcsetattr(&stdin, OptionalActions::Flush, before);
        eprintln!();
    }
    read.map_err(|error| Failure::new(format!("standard input: {error}")))?;
    Ok(line.trim().to_owned())
}
