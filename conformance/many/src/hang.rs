//! Where a process that does not end stands: each of its threads with its name, state, kernel function, system call, stack.

use std::fmt::Write;
use std::fs;

/// Some lines a thread.
pub fn describe(pid: i32) -> String {
    let read = |path: String| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut text = String::new();
    let command = read(format!("/proc/{pid}/cmdline")).replace('\0', " ");
    let _ = writeln!(text, "process {pid}: {command}");
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let task = task.path();
        let of = |name: &str| read(task.join(name).to_string_lossy().into_owned());
        let state = of("status")
            .lines()
            .find_map(|line| {
                line.strip_prefix("State:")
                    .map(str::trim)
                    .map(str::to_owned)
            })
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "  thread {} {:?}: {state}; wchan {}; syscall {}",
            task.file_name().unwrap_or_default().to_string_lossy(),
            of("comm"),
            of("wchan"),
            of("syscall"),
        );
        for line in of("stack").lines().take(8) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_thread_is_told() {
        let hold = std::sync::Arc::new(std::sync::Barrier::new(2));
        let held = hold.clone();
        let builder = std::thread::Builder::new().name("waits-for-us".to_owned());
        // A thread gives itself its name: it has it once it has been met.
        let thread = builder.spawn(move || (held.wait(), held.wait()).1).unwrap();
        hold.wait();
        let text = super::describe(std::process::id() as i32);
        hold.wait();
        thread.join().unwrap();
        assert!(text.contains("\"waits-for-us\": "), "{text}");
    }
}
