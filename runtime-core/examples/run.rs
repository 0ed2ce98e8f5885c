//! Runs a bundle and exits with its program's status: `run ROOT ID BUNDLE`.
use std::path::Path;
use tare_runtime::{CreateOptions, Runtime};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, id, bundle] = arguments.as_slice() else {
        eprintln!("usage: run ROOT ID BUNDLE");
        std::process::exit(2);
    };
    let runtime = Runtime::new(root);
    let result = runtime
        .run(id, Path::new(bundle), CreateOptions::default())
        .and_then(|container| {
            let status = container.wait()?;
            container.delete(false)?;
            Ok(status)
        });
    match result {
        Ok(status) => std::process::exit(status.code()),
        Err(error) => {
            eprintln!("{}", error.report());
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            std::process::exit(1)
        }
    }
}
