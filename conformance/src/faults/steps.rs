//! The steps of a plan, as the runtime tells them when it is about to run it.

use super::ground::Ground;

/// The plan as the runtime itself tells it.
#[derive(Clone)]
pub struct Steps {
    pub host: Vec<String>,
    pub child: Vec<String>,
}

impl Steps {
    /// Asks the runtime for the plan that it is about to run.
    pub fn ask(ground: &Ground) -> Self {
        let output = ground.make().env("TARE_FAULT", "show").run();
        let text = &output.stderr;
        let lane = |from: &str, to: &[&str]| -> Vec<String> {
            let lines = text.lines().skip_while(|line| *line != from).skip(1);
            let own = lines.take_while(|line| !to.contains(line) && line.starts_with("  "));
            own.map(|line| {
                let (_, step) = line.trim_start().split_once(' ').expect("number and text");
                let step = step.rsplit_once("  # ").map_or(step, |(step, _)| step);
                step.to_owned()
            })
            .collect()
        };
        let steps = Self {
            host: lane("host", &["child"]),
            child: lane("child", &["skip"]),
        };
        assert!(
            output.code != 0 && !steps.host.is_empty() && !steps.child.is_empty(),
            "no plan in {text:?}: is the runtime built with the feature proof?"
        );
        steps
    }

    /// The directories of cgroups that the plan makes.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.host.iter().filter_map(|step| {
            let path = step.strip_prefix("cgroup make ")?;
            path.split(' ').next()
        })
    }
}
