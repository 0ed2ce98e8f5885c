//! `tare inspect`: images in the shape of the Docker Engine API (`ImageInspect`).

use super::images::{Image, find};
use super::print;
use crate::cli::Inspect;
use crate::failure::Failure;
use crate::place::Place;
use serde_json::{Value, json};
use tare_image::store::{Name, Ref, Store};

pub fn run(place: &Place, words: &Inspect) -> Result<u8, Failure> {
    let store = place.store()?;
    let mut found = Vec::new();
    let mut status = 0;
    for image in &words.images {
        match find(&store, image)? {
            Some((_, to)) => found.push(show(&store, &to)?),
            None => {
                eprintln!("tare: No such image: {image}");
                status = 1;
            }
        }
    }
    let text = serde_json::to_string_pretty(&found).expect("it is JSON");
    print(&format!("{text}\n"))?;
    Ok(status)
}

fn show(store: &Store, to: &Ref) -> Result<Value, Failure> {
    let image = Image::load(store, to)?;
    let mut tags = Vec::new();
    let mut digests = Vec::new();
    for (name, other) in store.refs()? {
        if other.config != to.config {
            continue;
        }
        if let Name::Reference(reference) = name {
            if reference.tag().is_some() {
                tags.push(reference.familiar());
            }
            let digest = format!(
                "{}@{}",
                reference.familiar_repository(),
                other.target.digest
            );
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
    }
    let config = &image.config;
    let other = |name: &str| {
        config
            .other
            .get(name)
            .cloned()
            .unwrap_or(Value::String(String::new()))
    };
    Ok(json!({
        "Id": to.config,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": config.created,
        "Author": other("author"),
        "Comment": "",
        "DockerVersion": other("docker_version"),
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": image.bytes(store),
        "Config": config.config,
        "RootFS": { "Type": "layers", "Layers": config.rootfs.diff_ids },
        "Descriptor": to.target,
        "GraphDriver": { "Name": "overlay2", "Data": {
            "LowerDir": config.rootfs.diff_ids.iter().rev().map(|diff_id| store.layer_files(*diff_id).display().to_string())
                .collect::<Vec<_>>().join(":"),
        } },
    }))
}
