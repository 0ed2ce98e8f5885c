//! `tare save`, `tare load` and `tare import`.

use super::change;
use super::images::must_find;
use super::print;
use crate::cli::{Import, Load, Save};
use crate::failure::Failure;
use crate::output::write_out;
use crate::place::Place;
use std::fs::File;
use std::io::Read;
use std::time::SystemTime;
use tare_image::import::{ImportedAs, import as import_archive};
use tare_image::load::load as load_archive;
use tare_image::manifest::RunConfig;
use tare_image::save::{Saved, save as save_archive};
use tare_image::store::Name;
use tare_image::unpack::Limits;
use tare_image::{Platform, Reference};

pub fn save(place: &Place, words: &Save) -> Result<(), Failure> {
    let store = place.store()?;
    let mut images: Vec<Saved> = Vec::new();
    for text in &words.images {
        let (_, to) = must_find(&store, text)?;
        let name: Option<Reference> = text.parse().ok();
        let name = name.filter(|name| {
            store
                .get_ref(&Name::Reference(name.clone()))
                .is_ok_and(|found| found.is_some())
        });
        match images
            .iter_mut()
            .find(|image| image.manifest == to.manifest)
        {
            Some(image) => image.names.extend(name),
            None => images.push(Saved {
                manifest: to.manifest,
                names: name.into_iter().collect(),
            }),
        }
    }
    write_out(words.output.as_deref(), |out| {
        Ok(save_archive(&store, &images, out)?)
    })
}

pub fn load(place: &Place, words: &Load) -> Result<(), Failure> {
    let store = place.store()?;
    let platform = platform(words.platform.as_deref())?;
    let source = open(
        words
            .input
            .as_deref()
            .map(|path| path.display().to_string())
            .as_deref(),
    )?;
    let loaded = load_archive(&store, source, Limits::default(), &platform)?;
    let mut said = String::new();
    for image in loaded {
        for name in &image.names {
            said += &format!("Loaded image: {}\n", name.familiar());
        }
        if image.names.is_empty() {
            said += &format!("Loaded image ID: {}\n", image.to.config);
        }
    }
    if words.quiet { Ok(()) } else { print(&said) }
}

pub fn import(place: &Place, words: &Import) -> Result<(), Failure> {
    let store = place.store()?;
    let name: Option<Reference> = words.name.as_deref().map(str::parse).transpose()?;
    let config = change::apply(RunConfig::default(), &words.change).map_err(Failure::new)?;
    let made = ImportedAs {
        created: Some(tare_runtime::rfc3339(SystemTime::now())),
        platform: platform(words.platform.as_deref())?,
        config,
        comment: match words.message.as_str() {
            "" => format!("Imported from {}", words.source),
            message => message.to_owned(),
        },
    };
    let source = open(Some(words.source.as_str()).filter(|source| *source != "-"))?;
    let loaded = import_archive(&store, source, Limits::default(), name.as_ref(), made)?;
    print(&format!("{}\n", loaded.to.config))
}

fn platform(text: Option<&str>) -> Result<Platform, Failure> {
    Ok(text
        .map(str::parse)
        .transpose()?
        .unwrap_or_else(Platform::host))
}

/// A file, or standard input.
fn open(path: Option<&str>) -> Result<Box<dyn Read>, Failure> {
    match path {
        Some(path) if path.contains("://") => Err(Failure::new(format!(
            "{path}: only files and - are read; fetch it first"
        ))),
        Some(path) => {
            Ok(Box::new(File::open(path).map_err(|error| {
                Failure::new(format!("{path}: {error}"))
            })?))
        }
        None if rustix::termios::isatty(std::io::stdin()) => Err(Failure::new(
            "standard input is a terminal: name a file, or use a pipe",
        )),
        None => Ok(Box::new(std::io::stdin().lock())),
    }
}
