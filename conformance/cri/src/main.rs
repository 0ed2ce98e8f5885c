//! kubelet's part, played to containerd's CRI: `cri-caller SOCKET HANDLER IMAGE WORK PART`.
//!
//! PART is `life` (all that needs no other), `before` and `after` (around a restart of containerd, which is the caller's), or
//! `pods` (many of them). CRI_SKIP has lines `HANDLER/CASE REASON`: what this containerd itself can't do. Prints `ok NAME` or `FAIL NAME: why` for each case; the exit status is 1 when one failed.

mod asserts;
mod cases;
mod kubelet;
mod many;
mod streams;
mod users;

use kubelet::{Kubelet, SKIP};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, handler, image, work, part] = words.as_slice() else {
        eprintln!("usage: cri-caller SOCKET HANDLER IMAGE WORK life|before|after|pods");
        return ExitCode::from(2);
    };
    let kubelet = match Kubelet::connect(socket, handler, image, work.into()).await {
        Ok(kubelet) => kubelet,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let results = match part.as_str() {
        "life" => cases::life(&kubelet).await,
        "before" => cases::before(&kubelet).await,
        "after" => cases::after(&kubelet).await,
        "pods" => many::pods(&kubelet).await,
        other => {
            eprintln!("no part {other:?}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    for (name, result) in results {
        match result {
            Ok(()) => println!("ok cri/{handler}/{name}"),
            Err(why) if why.starts_with(SKIP) => {
                println!("skipped cri/{handler}/{name}: {}", &why[SKIP.len()..]);
            }
            Err(why) => {
                failed = true;
                println!("FAIL cri/{handler}/{name}: {}", why.replace('\n', " "));
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
