//! The life of a task and of the processes in it: what each may do next, and in which order their ends are told. Pure.
//!
//! The rules are containerd's (docs/runtime-v2.md): a process's exit is told after its start, and init's after those of all
//! processes that were put into the container later.
use crate::failure::{Code, Failure};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A process of a task: its init, or an exec by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The first one.
    Init,
    /// One that was put in.
    Exec(String),
}

impl Which {
    /// From a request, where an empty exec id means init.
    pub fn of(exec_id: &str) -> Which {
        if exec_id.is_empty() {
            Which::Init
        } else {
            Which::Exec(exec_id.to_owned())
        }
    }

    /// As a request has it.
    pub fn exec_id(&self) -> &str {
        match self {
            Which::Init => "",
            Which::Exec(id) => id,
        }
    }
}

/// How and when a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The status, or 128 plus the signal.
    pub status: u32,
    /// When it was seen.
    pub at: SystemTime,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Made, or (an exec) only asked for.
    Created,
    /// `Start` is at work on it.
    Starting,
    /// Started.
    Running,
    /// Ended, and told so.
    Stopped(Exit),
}

#[derive(Debug)]
struct Process {
    stage: Stage,
    /// Ended, but not yet told.
    held: Option<Exit>,
}

impl Process {
    fn new() -> Process {
        Process {
            stage: Stage::Created,
            held: None,
        }
    }

    fn is_alive(&self) -> bool {
        self.held.is_none() && matches!(self.stage, Stage::Starting | Stage::Running)
    }
}

/// A task's life.
#[derive(Debug)]
pub struct Life {
    init: Process,
    execs: BTreeMap<String, Process>,
}

impl Life {
    /// Of a task whose init has been created.
    #[allow(clippy::new_without_default, reason = "a life begins with a creation")]
    pub fn new() -> Life {
        Life {
            init: Process::new(),
            execs: BTreeMap::new(),
        }
    }

    /// What a process is.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn stage(&self, which: &Which) -> Result<Stage, Failure> {
        Ok(self.get(which)?.stage)
    }

    /// Whether it is a process, and has not ended, told or not.
    pub fn is_live(&self, which: &Which) -> bool {
        self.get(which).is_ok_and(|process| {
            process.held.is_none() && !matches!(process.stage, Stage::Stopped(_))
        })
    }

    /// The ids of the execs.
    pub fn execs(&self) -> impl Iterator<Item = &str> {
        self.execs.keys().map(String::as_str)
    }

    /// An exec is asked for.
    ///
    /// # Errors
    /// ALREADY_EXISTS; FAILED_PRECONDITION once init has ended.
    pub fn add(&mut self, id: &str) -> Result<(), Failure> {
        self.takes_execs()?;
        if self.execs.contains_key(id) {
            return Err(Failure::new(
                Code::AlreadyExists,
                format!("exec {id} already exists"),
            ));
        }
        self.execs.insert(id.to_owned(), Process::new());
        Ok(())
    }

    /// `Start` begins.
    ///
    /// # Errors
    /// NOT_FOUND; FAILED_PRECONDITION where it was started or has ended.
    pub fn start(&mut self, which: &Which) -> Result<(), Failure> {
        if matches!(which, Which::Exec(_)) {
            self.takes_execs()?;
        }
        let process = self.get_mut(which)?;
        match (process.stage, process.held) {
            (Stage::Created, None) => {
                process.stage = Stage::Starting;
                Ok(())
            }
            (Stage::Starting | Stage::Running, None) => {
                Err(precondition("cannot start a running process"))
            }
            _ => Err(precondition("cannot start a stopped process")),
        }
    }

    /// `Start` has succeeded. Returns those whose ends are to be told now, in this order.
    pub fn started(&mut self, which: &Which) -> Vec<(Which, Exit)> {
        if let Ok(process) = self.get_mut(which)
            && process.stage == Stage::Starting
        {
            process.stage = Stage::Running;
        }
        self.tell()
    }

    /// `Start` has failed: an exec has ended with this, init is what it was.
    pub fn not_started(&mut self, which: &Which, exit: Exit) -> Vec<(Which, Exit)> {
        if let Ok(process) = self.get_mut(which)
            && process.stage == Stage::Starting
        {
            process.stage = match which {
                Which::Init => Stage::Created,
                // Nothing was told of its start, so nothing is told of its end.
                Which::Exec(_) => Stage::Stopped(exit),
            };
        }
        self.tell()
    }

    /// A process has ended. Returns those whose ends are to be told now, in this order.
    pub fn ended(&mut self, which: &Which, exit: Exit) -> Vec<(Which, Exit)> {
        if let Ok(process) = self.get_mut(which)
            && !matches!(process.stage, Stage::Stopped(_))
        {
            process.held.get_or_insert(exit);
        }
        self.tell()
    }

    /// Whether a process may be deleted.
    ///
    /// # Errors
    /// NOT_FOUND; FAILED_PRECONDITION while it runs.
    pub fn may_delete(&self, which: &Which) -> Result<Option<Exit>, Failure> {
        match self.get(which)?.stage {
            Stage::Created => Ok(None),
            Stage::Stopped(exit) => Ok(Some(exit)),
            Stage::Starting | Stage::Running => {
                Err(precondition("cannot delete a running process"))
            }
        }
    }

    /// An exec is gone.
    pub fn deleted(&mut self, id: &str) {
        self.execs.remove(id);
    }

    fn takes_execs(&self) -> Result<(), Failure> {
        match self.init.stage {
            Stage::Stopped(_) => Err(precondition("container is stopped")),
            _ if self.init.held.is_some() => Err(precondition("container is stopped")),
            _ => Ok(()),
        }
    }

    fn tell(&mut self) -> Vec<(Which, Exit)> {
        let mut told = Vec::new();
        for (id, process) in &mut self.execs {
            if process.stage == Stage::Running
                && let Some(exit) = process.held.take()
            {
                process.stage = Stage::Stopped(exit);
                told.push((Which::Exec(id.clone()), exit));
            }
        }
        let last = !self.execs.values().any(|process| {
            process.is_alive() || (process.held.is_some() && process.stage == Stage::Starting)
        });
        if last
            && self.init.stage != Stage::Starting
            && let Some(exit) = self.init.held.take()
        {
            self.init.stage = Stage::Stopped(exit);
            told.push((Which::Init, exit));
        }
        told
    }

    fn get(&self, which: &Which) -> Result<&Process, Failure> {
        match which {
            Which::Init => Ok(&self.init),
            Which::Exec(id) => self.execs.get(id).ok_or_else(|| unknown(id)),
        }
    }

    fn get_mut(&mut self, which: &Which) -> Result<&mut Process, Failure> {
        match which {
            Which::Init => Ok(&mut self.init),
            Which::Exec(id) => self.execs.get_mut(id).ok_or_else(|| unknown(id)),
        }
    }
}

fn unknown(id: &str) -> Failure {
    Failure::new(Code::NotFound, format!("process {id} does not exist"))
}

fn precondition(why: &str) -> Failure {
    Failure::new(Code::FailedPrecondition, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: u32) -> Exit {
        Exit {
            status,
            at: SystemTime::UNIX_EPOCH,
        }
    }

    fn exec(id: &str) -> Which {
        Which::Exec(id.to_owned())
    }

    fn names(told: &[(Which, Exit)]) -> Vec<(&str, u32)> {
        told.iter()
            .map(|(which, exit)| (which.exec_id(), exit.status))
            .collect()
    }

    fn running() -> Life {
        let mut life = Life::new();
        life.start(&Which::Init).unwrap();
        assert_eq!(life.started(&Which::Init), []);
        life
    }

    #[test]
    fn an_end_before_the_start_was_told_waits_for_it() {
        let mut life = Life::new();
        life.start(&Which::Init).unwrap();
        assert_eq!(life.ended(&Which::Init, exit(3)), []);
        assert_eq!(names(&life.started(&Which::Init)), [("", 3)]);
        assert_eq!(life.stage(&Which::Init).unwrap(), Stage::Stopped(exit(3)));
    }

    #[test]
    fn init_ends_last() {
        let mut life = running();
        for id in ["a", "b"] {
            life.add(id).unwrap();
            life.start(&exec(id)).unwrap();
        }
        life.started(&exec("a"));
        assert_eq!(life.ended(&Which::Init, exit(0)), []);
        assert_eq!(life.stage(&Which::Init).unwrap(), Stage::Running);
        assert!(!life.is_live(&Which::Init));
        assert_eq!(names(&life.ended(&exec("a"), exit(137))), [("a", 137)]);
        assert_eq!(life.ended(&exec("b"), exit(9)), []);
        assert_eq!(names(&life.started(&exec("b"))), [("b", 9), ("", 0)]);
    }

    #[test]
    fn an_exec_that_was_never_started_holds_nothing_up() {
        let mut life = running();
        life.add("idle").unwrap();
        assert_eq!(names(&life.ended(&Which::Init, exit(1))), [("", 1)]);
        life.deleted("idle");
    }

    #[test]
    fn an_exec_that_could_not_start_lets_init_end() {
        let mut life = running();
        life.add("a").unwrap();
        life.start(&exec("a")).unwrap();
        assert_eq!(life.ended(&Which::Init, exit(1)), []);
        assert_eq!(names(&life.not_started(&exec("a"), exit(255))), [("", 1)]);
        assert_eq!(life.may_delete(&exec("a")).unwrap(), Some(exit(255)));
    }

    #[test]
    fn a_stopped_container_takes_no_exec() {
        let mut life = running();
        life.add("early").unwrap();
        life.ended(&Which::Init, exit(0));
        for refused in [life.add("late"), life.start(&exec("early"))] {
            assert_eq!(refused.unwrap_err().code, Code::FailedPrecondition);
        }
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let mut life = running();
        life.add("a").unwrap();
        assert_eq!(life.add("a").unwrap_err().code, Code::AlreadyExists);
        assert_eq!(life.start(&exec("x")).unwrap_err().code, Code::NotFound);
        let again = life.start(&Which::Init).unwrap_err();
        assert_eq!(again.code, Code::FailedPrecondition);
        let live = life.may_delete(&Which::Init).unwrap_err();
        assert_eq!(live.code, Code::FailedPrecondition);
        assert_eq!(life.may_delete(&exec("a")).unwrap(), None);
        life.ended(&Which::Init, exit(0));
        let stopped = life.start(&Which::Init).unwrap_err();
        assert!(stopped.message.contains("stopped"), "{}", stopped.message);
    }

    #[test]
    fn a_second_end_changes_nothing() {
        let mut life = running();
        life.ended(&Which::Init, exit(5));
        assert_eq!(life.ended(&Which::Init, exit(6)), []);
        assert_eq!(life.stage(&Which::Init).unwrap(), Stage::Stopped(exit(5)));
    }

    #[test]
    fn a_created_container_may_end() {
        let mut life = Life::new();
        assert_eq!(names(&life.ended(&Which::Init, exit(137))), [("", 137)]);
    }
}
