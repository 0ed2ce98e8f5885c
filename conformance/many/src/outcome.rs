//! Which ends a call may come to when others work on the same container: a table, pure.
//!
//! docs/outcomes.md is the same table for people; a test compares them.

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Start,
    Kill,
    Delete,
    DeleteForce,
    State,
    List,
    Exec,
    Pause,
    Resume,
    Update,
}

pub const VERBS: [Verb; 11] = [
    Verb::Create,
    Verb::Start,
    Verb::Kill,
    Verb::Delete,
    Verb::DeleteForce,
    Verb::State,
    Verb::List,
    Verb::Exec,
    Verb::Pause,
    Verb::Resume,
    Verb::Update,
];

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Start => "start",
            Verb::Kill => "kill",
            Verb::Delete => "delete",
            Verb::DeleteForce => "delete --force",
            Verb::State => "state",
            Verb::List => "list",
            Verb::Exec => "exec",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Update => "update",
        }
    }
}

/// How a call ended, by its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It succeeded.
    Done,
    /// The container is not there (any more).
    Absent,
    /// The id is taken.
    Taken,
    /// Needs a live container, or for pause one that isn't paused.
    NotRunning,
    NotPaused,
    /// `delete` of a live one.
    Live,
    StartStopped,
    StartPaused,
    StartRunning,
    StartCreating,
    ExecStopped,
    ExecPaused,
    ExecCreating,
    /// Another call holds the container.
    Busy,
    /// `delete --force` ended the container while it was being made, or before its program ran.
    EndedMeanwhile,
    /// None of the documented words.
    Unknown,
}

/// Words of the message, and what they mean; the first that is contained counts.
pub const WORDS: [(&str, End); 14] = [
    ("container does not exist", End::Absent),
    ("container with given ID already exists", End::Taken),
    ("container not running", End::NotRunning),
    ("container not paused", End::NotPaused),
    ("that is not stopped", End::Live),
    (
        "cannot start a container that has stopped",
        End::StartStopped,
    ),
    ("cannot start a paused container", End::StartPaused),
    (
        "cannot start an already running container",
        End::StartRunning,
    ),
    (
        "cannot start a container that is still being created",
        End::StartCreating,
    ),
    ("cannot exec in a stopped container", End::ExecStopped),
    ("cannot exec in a paused container", End::ExecPaused),
    (
        "cannot exec in a container that is still being created",
        End::ExecCreating,
    ),
    ("is busy", End::Busy),
    (
        "the container's first process was killed by signal 9",
        End::EndedMeanwhile,
    ),
];

/// Reads the end of a failed call from its message.
pub fn classify(message: &str) -> End {
    WORDS
        .iter()
        .find(|(words, _)| message.contains(words))
        .map_or(End::Unknown, |(_, end)| *end)
}

/// Whether a call may end so, whatever the others do meanwhile.
pub fn allowed(verb: Verb, end: End) -> bool {
    ends(verb).contains(&end)
}

/// All ends of a verb.
pub fn ends(verb: Verb) -> &'static [End] {
    use End::{
        Absent, Busy, Done, EndedMeanwhile, ExecCreating, ExecPaused, ExecStopped, Live, NotPaused,
        NotRunning, StartCreating, StartPaused, StartRunning, StartStopped, Taken,
    };
    match verb {
        Verb::Create => &[Done, Taken, EndedMeanwhile],
        Verb::Start => &[
            Done,
            Absent,
            StartStopped,
            StartPaused,
            StartRunning,
            StartCreating,
        ],
        Verb::Kill => &[Done, Absent, NotRunning],
        Verb::Delete => &[Done, Absent, Live, Busy],
        Verb::DeleteForce => &[Done, Busy],
        Verb::State => &[Done, Absent],
        Verb::List => &[Done],
        Verb::Exec => &[Done, Absent, ExecStopped, ExecPaused, ExecCreating],
        Verb::Pause => &[Done, Absent, NotRunning],
        Verb::Resume => &[Done, Absent, NotPaused],
        Verb::Update => &[Done, Absent, NotRunning],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        for (words, end) in WORDS {
            assert_eq!(classify(&format!("x: {words}: y")), end, "{words}");
        }
        assert_eq!(
            classify("step 3/9: write 1 to cgroup.procs: ENODEV"),
            End::Unknown
        );
        assert_eq!(classify(""), End::Unknown);
    }

    #[test]
    fn what_was_not_foreseen_is_never_allowed() {
        for verb in VERBS {
            assert!(!allowed(verb, End::Unknown), "{verb:?}");
            assert!(allowed(verb, End::Done), "{verb:?}");
        }
        assert!(!allowed(Verb::Kill, End::StartStopped));
        assert!(!allowed(Verb::DeleteForce, End::Absent));
        assert!(!allowed(Verb::List, End::Absent));
    }

    #[test]
    fn the_document_has_the_table() {
        let document = include_str!("../../../docs/outcomes.md");
        let row = |verb: Verb| {
            let cells: Vec<String> = ends(verb)
                .iter()
                .map(|end| match WORDS.iter().find(|(_, of)| of == end) {
                    Some((words, _)) => format!("`{words}`"),
                    None => "success".to_owned(),
                })
                .collect();
            format!("| `{}` | {} |", verb.name(), cells.join(", "))
        };
        for verb in VERBS {
            let row = row(verb);
            assert!(
                document.lines().any(|line| line == row),
                "docs/outcomes.md lacks:\n{row}"
            );
        }
    }
}
