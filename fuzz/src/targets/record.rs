//! `state.json`: read, told, written and read again.
use tare_runtime::doors;

/// Runs one file; the first line holds three numbers of a failure frame.
pub fn run(bytes: &[u8]) {
    let (line, document) = super::head(bytes);
    let mut numbers = line
        .split_whitespace()
        .map(|word| word.parse::<u32>().unwrap_or(u32::MAX));
    let mut number = || numbers.next().unwrap_or(0);
    let record = match doors::record(document, "c1") {
        Ok(record) => record,
        Err(why) => return assert!(!why.is_empty()),
    };
    assert_eq!(record.id, "c1");
    let told = doors::told(&record, number(), number() as i32, number());
    assert!(told.len() <= (64 << 10) + 32 * document.len());
    let mut again = record.clone();
    again.set_cgroup(&record.cgroup());
    let cgroup = again.cgroup();
    assert_eq!(cgroup, again.cgroup());
    let written = serde_json::to_vec(&record).expect("a record can be written");
    assert_eq!(
        doors::record(&written, "c1").as_ref(),
        Ok(&record),
        "{}",
        String::from_utf8_lossy(&written)
    );
}
