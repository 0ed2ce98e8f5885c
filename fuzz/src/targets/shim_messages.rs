//! Every message between containerd and a shim: read, written, and read again.
use tare_shim_wire::doors::every;

/// Runs one input: the first line names the message.
pub fn run(bytes: &[u8]) {
    let (name, rest) = super::head(bytes);
    let Some(message) = every().find(|message| message.name == name) else {
        return;
    };
    match (message.again)(rest) {
        Ok(read) => {
            // Numbers may be written longer than they need be; what is written here never is longer than what was read, but
            // where a packed list came as single numbers, or an absent field of an entry as present.
            assert!(
                read.len() <= 2 * rest.len(),
                "{} of {}",
                read.len(),
                rest.len()
            );
            assert_eq!((message.again)(&read).as_ref(), Ok(&read));
        }
        Err(error) => assert!(!error.message.is_empty() && !error.to_string().is_empty()),
    }
}
