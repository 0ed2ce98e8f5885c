//! Progress for people: bars that move on a terminal, a line for each change elsewhere; on standard error, as data goes to the other.

use crate::failure::Failure;
use crate::format::size;
use crate::interrupt::Interrupt;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tare_image::pull::{LayerProgress, State, Watch};

/// Which way layers go.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Pull,
    Push,
}

impl Way {
    /// What a layer is doing, as docker says it.
    fn word(self, state: State) -> &'static str {
        match (self, state) {
            (_, State::Waiting) => "Waiting",
            (_, State::Preparing) => "Preparing",
            (Self::Pull, State::Pulling) => "Pulling",
            (Self::Push, State::Pulling) => "Pushing",
            (Self::Pull, State::Done) => "Pull complete",
            (Self::Push, State::Done) => "Pushed",
            (Self::Pull, State::Exists) => "Already exists",
            (Self::Push, State::Exists) => "Layer already exists",
        }
    }
}

/// Shows a pull or push until it is dropped.
pub struct Progress {
    quiet: bool,
    way: Way,
    interrupt: Option<Interrupt>,
    /// In its stead.
    never: AtomicBool,
    painter: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

/// Between two pictures.
const BEAT: Duration = Duration::from_millis(100);
/// Letters of a bar.
const BAR: usize = 40;

impl Progress {
    /// Nothing is shown yet.
    pub fn new(quiet: bool, way: Way) -> Self {
        Self {
            quiet,
            way,
            interrupt: Interrupt::watch(),
            never: AtomicBool::new(false),
            painter: Mutex::new(None),
        }
    }
}

impl Progress {
    /// An outcome, which is no failure of its own if somebody asked for the end.
    pub fn outcome<T, E: std::error::Error>(&self, outcome: Result<T, E>) -> Result<T, Failure> {
        match (outcome, self.interrupt.as_ref().and_then(Interrupt::status)) {
            (Err(_), Some(status)) => Err(Failure::new("interrupted").with_status(status)),
            (outcome, _) => Ok(outcome?),
        }
    }
}

impl Watch for Progress {
    fn layers(&self, layers: &Arc<Vec<LayerProgress>>) {
        if self.quiet {
            return;
        }
        let (layers, way) = (Arc::clone(layers), self.way);
        let (end, ended) = channel();
        let terminal = rustix::termios::isatty(std::io::stderr());
        let thread = std::thread::spawn(move || {
            let mut painter = Painter::new(&layers, terminal, way);
            loop {
                let last = !matches!(ended.recv_timeout(BEAT), Err(RecvTimeoutError::Timeout));
                painter.paint();
                if last {
                    return;
                }
            }
        });
        *self.painter.lock().unwrap_or_else(PoisonError::into_inner) = Some((end, thread));
    }

    fn stop(&self) -> &AtomicBool {
        self.interrupt.as_ref().map_or(&self.never, Interrupt::stop)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let painter = self
            .painter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((end, thread)) = painter {
            drop(end);
            let _ = thread.join();
        }
    }
}

struct Painter<'a> {
    layers: &'a [LayerProgress],
    terminal: bool,
    way: Way,
    /// What was said of each layer.
    said: Vec<Option<State>>,
    /// Lines that are on the terminal.
    painted: usize,
}

impl<'a> Painter<'a> {
    fn new(layers: &'a [LayerProgress], terminal: bool, way: Way) -> Self {
        Self {
            layers,
            terminal,
            way,
            said: vec![None; layers.len()],
            painted: 0,
        }
    }

    fn paint(&mut self) {
        let text = if self.terminal {
            self.picture()
        } else {
            self.changes()
        };
        // A terminal that is gone is no reason to fail.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn changes(&mut self) -> String {
        let mut text = String::new();
        for (layer, said) in self.layers.iter().zip(&mut self.said) {
            let state = layer.state();
            if *said == Some(state) {
                continue;
            }
            *said = Some(state);
            if state == State::Waiting {
                continue;
            }
            let word = self.way.word(state);
            text += &format!("{}: {word}\n", layer.digest.short());
        }
        text
    }

    /// As many lines as there are layers, over those of the last picture.
    fn picture(&mut self) -> String {
        let rows = rustix::termios::tcgetwinsize(std::io::stderr())
            .map_or(24, |size| usize::from(size.ws_row));
        let shown = self.layers.len().min(rows.saturating_sub(2).max(1));
        // Those that are done move out of sight first.
        let skipped = self.layers.len() - shown;
        let mut order: Vec<&LayerProgress> = self.layers.iter().collect();
        order.sort_by_key(|layer| matches!(layer.state(), State::Waiting));
        order.sort_by_key(|layer| !matches!(layer.state(), State::Done | State::Exists));
        let lines = if skipped == 0 {
            self.layers.iter().collect()
        } else {
            order.split_off(skipped.min(order.len()))
        };
        let mut text = String::new();
        if self.painted > 0 {
            text += &format!("\x1b[{}A", self.painted);
        }
        for layer in &lines {
            text += &format!(
                "\x1b[2K{}: {}\n",
                layer.digest.short(),
                line(layer, self.way)
            );
        }
        self.painted = lines.len();
        text
    }
}

fn line(layer: &LayerProgress, way: Way) -> String {
    let (moved, all, state) = (layer.moved(), layer.size(), layer.state());
    let word = way.word(state);
    if !matches!(state, State::Pulling | State::Preparing) || moved == 0 {
        return word.to_owned();
    }
    let filled = u128::from(moved.min(all)) * BAR as u128 / u128::from(all.max(1));
    let filled = usize::try_from(filled).unwrap_or(BAR);
    let bar = format!("{}>{}", "=".repeat(filled), " ".repeat(BAR - filled));
    format!("{word} [{bar}] {}/{}", size(moved), size(all))
}
