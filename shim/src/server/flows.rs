//! Streams on their way, and Deletes that wait for them.
use super::{Flow, Kind, Server};
use crate::life::Which;
use std::time::Instant;
use tare_supervisor::{Interest, Progress, Relay};

impl Server {
    /// Lets a relay begin; returns its number.
    pub(crate) fn flow(&mut self, relay: Relay) -> u64 {
        let number = self.number();
        let token = Kind::Source.token(number);
        let polled = self.poll.add(relay.source(), token, Interest::Read).is_ok();
        self.flows.insert(
            number,
            Flow {
                relay,
                waits: Progress::Source,
                polled,
            },
        );
        number
    }

    pub(crate) fn pump(&mut self, number: u64) {
        let Some(flow) = self.flows.get_mut(&number) else {
            return;
        };
        let progress = flow.relay.pump();
        if progress == flow.waits && flow.polled {
            return;
        }
        let removed = match flow.waits {
            Progress::Source => self.poll.remove(flow.relay.source()),
            _ => self.poll.remove(flow.relay.target()),
        };
        // What could not be polled was not added.
        drop(removed);
        flow.waits = progress;
        let added = match progress {
            Progress::Source => {
                let token = Kind::Source.token(number);
                self.poll.add(flow.relay.source(), token, Interest::Read)
            }
            Progress::Target => {
                let token = Kind::Target.token(number);
                self.poll.add(flow.relay.target(), token, Interest::Write)
            }
            Progress::Ended => {
                self.flows.remove(&number);
                return;
            }
        };
        flow.polled = added.is_ok();
    }

    /// Deletes whose output has been taken, or has had its time.
    pub(super) fn drained(&mut self) {
        let now = Instant::now();
        let (ready, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.draining)
            .into_iter()
            .partition(|it| it.until <= now || !self.is_full(&it.id, &it.which));
        self.draining = rest;
        for it in ready {
            self.delete_now(it.caller, &it.id, &it.which);
        }
    }

    /// Whether output of a process waits for its reader.
    pub(super) fn is_full(&mut self, id: &str, which: &Which) -> bool {
        let process = self.tasks.get(id).and_then(|task| task.process(which));
        let output = process.map_or_else(Vec::new, |process| process.output.clone());
        output.iter().any(|number| {
            // What has been said since the last look.
            for _ in 0..64 {
                let before = self.flows.get(number).map(|flow| flow.waits);
                self.pump(*number);
                match self.flows.get(number).map(|flow| flow.waits) {
                    Some(Progress::Target) => return true,
                    None => return false,
                    after if after == before => {}
                    _ => {}
                }
            }
            false
        })
    }
}
