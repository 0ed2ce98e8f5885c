//! The cases, by what they look at.
use crate::world::World;

mod bootstrap;
mod hostile;
mod order;
mod stdio;
mod task;

/// A case: its name, who can be held to it, and what it does.
pub struct Case {
    /// `GROUP/NAME`.
    pub name: &'static str,
    /// Why only ours is held to it, where that is so.
    pub ours: Option<&'static str>,
    /// Panics when the shim is wrong.
    pub run: fn(&World),
}

const fn all(name: &'static str, run: fn(&World)) -> Case {
    Case {
        name,
        ours: None,
        run,
    }
}

const fn ours(name: &'static str, why: &'static str, run: fn(&World)) -> Case {
    Case {
        name,
        ours: Some(why),
        run,
    }
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = bootstrap::cases();
    cases.extend(task::cases());
    cases.extend(order::cases());
    cases.extend(stdio::cases());
    cases.extend(hostile::cases());
    cases
}
