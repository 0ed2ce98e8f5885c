//! `exec`: one more process in a running container, by its own shorter plan.
use super::Container;
use crate::create::own_namespaces;
use crate::error::Error;
use crate::lane::{self, JoinCgroup, Surroundings};
use crate::plan::ExecTarget;
use crate::plan::facts::{PlanOptions, Verb};
use crate::{ExecOptions, Process, Status, probe};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;

impl Container {
    /// Starts a process in the container; returns when its program has been executed.
    ///
    /// # Errors
    /// [`Error::CannotExec`] when the container is stopped or (unless told otherwise) paused; [`Error::Config`] at paths below
    /// `process`; [`Error::Program`]; [`Error::Step`].
    pub fn exec(&self, options: ExecOptions) -> Result<Process, Error> {
        let record = self.current()?;
        match self.status_of(&record)? {
            Status::Paused if options.ignore_paused => {}
            status @ (Status::Stopped | Status::Paused | Status::Creating) => {
                return Err(Error::CannotExec { status });
            }
            _ => {}
        }
        let spec = self.spec()?;
        let linux = spec.linux.clone().unwrap_or_default();
        let facts = probe::facts(&spec)?;
        let init = record.init_process_pid;
        let labels: Vec<String> = record.cgroup_paths.keys().cloned().collect();
        let target = ExecTarget {
            pid: init,
            namespaces: own_namespaces(&spec),
            linux: &linux,
            cgroups: &labels,
            into_cgroup: record.cgroup_paths.contains_key("") && facts.kernel_at_least(5, 7),
        };
        let preserve_fds = options.preserve_fds + options.listen_fds.count;
        let plan_options = PlanOptions {
            id: self.id().to_owned(),
            bundle: PathBuf::from(&record.tare.bundle),
            verb: Verb::Run,
            cgroup_manager: record.cgroup().manager,
            rootless: record.rootless,
            no_pivot: false,
            no_new_keyring: false,
            preserve_fds,
            listen_fds: options.listen_fds.count,
            console: options.console != crate::Console::None,
            pidfd_socket: options.pidfd_socket.is_some(),
            pid_file: options.pid_file.is_some(),
            notify_socket: None,
            state_dir: self.directory().to_owned(),
        };
        let plan = crate::plan::plan_exec(&options.process, &target, &facts, &plan_options)?;
        crate::plan::check(&plan).map_err(|flaw| Error::Unsupported {
            what: "run a plan that doesn't hold together (a fault of ours)".to_owned(),
            why: flaw.to_string(),
        })?;
        #[cfg(feature = "proof")]
        let plan = crate::weaken::plan(plan);
        let below = sub_cgroups(&options.cgroups);
        let stdio = &options.stdio;
        let around = Surroundings {
            directory: None,
            stdio: [&stdio.stdin, &stdio.stdout, &stdio.stderr]
                .map(|fd| fd.as_ref().map(|fd| fd.as_fd())),
            preserve_fds,
            console: &options.console,
            pidfd_socket: options.pidfd_socket.as_deref(),
            pid_file: options.pid_file.as_deref(),
            state: record.oci_state(Status::Running),
            join: Some(JoinCgroup {
                cgroup: tare_cgroup::Cgroup::open(record.cgroup()),
                below: &below,
                init,
                init_start: record.init_process_start,
            }),
        };
        let outcome = lane::run(&plan, &around, &mut |_, _| Ok(()))
            .map_err(|error| in_words(error, || self.status_now(&record)))?;
        let pid = rustix::process::Pid::from_raw(outcome.pid).ok_or(Error::NotRunning {
            status: Status::Stopped,
        })?;
        Ok(Process::new(
            pid,
            outcome.pidfd,
            outcome.console,
            outcome.warnings,
        ))
    }
}

impl Container {
    /// Stopped as soon as init is on its way out: its namespaces take nobody any more.
    fn status_now(&self, record: &crate::Record) -> Option<Status> {
        match crate::procfs::is_dying(record.init_process_pid) {
            Ok(true) => Some(Status::Stopped),
            _ => self.status_of(record).ok(),
        }
    }
}

/// A container may end at any step; whatever the kernel refused then, that is the reason.
fn in_words(error: Error, status: impl FnOnce() -> Option<Status>) -> Error {
    let may_follow = matches!(
        error,
        Error::NotRunning { .. }
            | Error::Step { .. }
            | Error::HostStep { .. }
            | Error::ChildDied { .. }
            | Error::Missing { .. }
            | Error::System { .. }
            | Error::Cgroup(_)
    );
    if may_follow
        && (matches!(error, Error::NotRunning { .. }) || status() == Some(Status::Stopped))
    {
        return Error::CannotExec {
            status: Status::Stopped,
        };
    }
    error
}

/// `PATH`, or `CONTROLLER[,CONTROLLER]:PATH` on v1.
fn sub_cgroups(given: &[String]) -> BTreeMap<String, String> {
    let mut below = BTreeMap::new();
    for text in given {
        match text.split_once(':') {
            Some((controllers, path)) => {
                for controller in controllers.split(',') {
                    below.insert(controller.to_owned(), path.to_owned());
                }
            }
            None => {
                below.insert(String::new(), text.clone());
            }
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Errno, ProgramError};

    #[test]
    fn an_end_meanwhile_is_told_as_such() {
        let step = || Error::Step {
            step: 4,
            of: 23,
            what: "write 1 to cgroup.procs".to_owned(),
            errno: Errno::ENOENT,
            hint: None,
        };
        let not_running = Error::NotRunning {
            status: Status::Stopped,
        };
        let words = |error: Error, status| in_words(error, || Some(status)).to_string();
        let stopped = "cannot exec in a stopped container";
        assert_eq!(words(not_running, Status::Running), stopped);
        assert_eq!(words(step(), Status::Stopped), stopped);
        assert!(words(step(), Status::Running).starts_with("step 4/23"));
        let program = Error::Program {
            program: "x".to_owned(),
            why: ProgramError::NotInPath,
        };
        assert!(words(program, Status::Stopped).starts_with("exec: "));
    }

    #[test]
    fn sub_cgroups_by_controller_or_for_all() {
        let below = super::sub_cgroups(&["cpu,memory:/a".to_owned(), "b".to_owned()]);
        let seen: Vec<(&str, &str)> = below
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(seen, [("", "b"), ("cpu", "/a"), ("memory", "/a")]);
    }
}
