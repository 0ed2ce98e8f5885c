//! `update`: new limits, from a document or from flags.
use super::{Context, resources};
use crate::args::Matches;
use crate::error::Failure;
use std::io::Read;
use tare_runtime::{Error, RdtUpdate};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let mut container = context.container(matches)?;
    for gone in ["kernel-memory", "kernel-memory-tcp"] {
        if matches.given(gone) {
            context.log.warning(&format!(
                "--{gone} is ignored: the kernel has no such limit any more"
            ));
        }
    }
    let limits = match matches.value("resources").filter(|path| !path.is_empty()) {
        Some(path) => tare_runtime::config::load_resources(&read(path)?).map_err(Error::from)?,
        None => resources::from_flags(matches)?,
    };
    let schema = |name| matches.value(name).unwrap_or_default().to_owned();
    let rdt = RdtUpdate {
        l3_cache_schema: schema("l3-cache-schema"),
        mem_bw_schema: schema("mem-bw-schema"),
    };
    let skipped = container.update(&limits, &rdt)?;
    context.warn(&skipped);
    Ok(0)
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more than is taken, so that a larger document is refused and not cut.
    let limit = tare_runtime::config::MAX_BYTES as u64 + 1;
    let result = if path == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    result
        .map(|_| bytes)
        .map_err(|error| Failure::file("read the limits", path, &error))
}
