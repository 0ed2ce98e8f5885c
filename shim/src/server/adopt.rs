//! A server that comes after one that was killed: it takes over the containers that are still there.
//!
//! What their processes write goes where it went, for they hold its ends themselves. What the old server held is lost with it:
//! the way of their input, terminals, execs, and the namespaces of sandboxes.
use super::Server;
use crate::life::{Exit, Life, Which};
use crate::record::{self, Record};
use crate::stdio::Made;
use crate::task::{Process, Task};
use crate::work::{self, Begun};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use tare_runtime::Status;
use tare_supervisor::Writer;

/// What containerd takes for the status of a process of which nobody knows it.
const UNKNOWN: u32 = 255;

impl Server {
    /// All whose server listened where this one does, by the bundles beside this one.
    pub(super) fn adopt(&mut self, bundle: &Path) {
        let siblings = bundle.parent().and_then(|above| above.read_dir().ok());
        for sibling in siblings.into_iter().flatten().flatten() {
            let bundle = sibling.path();
            let Some(record) = record::kept(&bundle) else {
                continue;
            };
            if record.socket != self.socket || self.tasks.contains_key(&record.id) {
                continue;
            }
            let id = record.id.clone();
            if let Err(failure) = self.take_over(&bundle, record) {
                eprintln!("{id}: not taken over: {}", failure.message);
            }
        }
    }

    fn take_over(&mut self, bundle: &Path, record: Record) -> Result<(), crate::failure::Failure> {
        let runtime = work::runtime(&record.options, &self.namespace);
        let (status, mut begun) = work::find(&runtime, &record.id)?;
        let mut life = Life::new();
        if status != Status::Created {
            life.start(&Which::Init)?;
            life.started(&Which::Init);
        }
        // As long as somebody could read, no writer gets an error while nobody does.
        let fifos = [&record.streams.stdout, &record.streams.stderr];
        let kept = fifos
            .iter()
            .filter_map(|path| Writer::keep(Path::new(path)).ok());
        let kept = kept.collect();
        let id = record.id;
        let mut task = Task {
            bundle: bundle.to_owned(),
            options: record.options,
            mounts: Vec::new(),
            life,
            init: Process {
                streams: record.streams,
                ..Process::default()
            },
            execs: BTreeMap::new(),
            paused: status == Status::Paused,
            oom: None,
            shares_pids: begun.as_ref().is_some_and(|begun| begun.shares_pids),
            busy: false,
            kills: 0,
            waiting: Default::default(),
        };
        if let Some(begun) = &mut begun {
            self.watch_memory(&id, &mut task, begun);
        }
        self.tasks.insert(id.clone(), task);
        match begun {
            Some(begun) => self.attend(
                &id,
                Which::Init,
                Begun {
                    made: Made {
                        kept,
                        ..Made::default()
                    },
                    ..begun
                },
            ),
            None => {
                let exit = Exit {
                    status: UNKNOWN,
                    at: SystemTime::now(),
                };
                if let Some(task) = self.tasks.get_mut(&id) {
                    let told = task.life.ended(&Which::Init, exit);
                    self.tell(&id, told);
                }
            }
        }
        Ok(())
    }
}
