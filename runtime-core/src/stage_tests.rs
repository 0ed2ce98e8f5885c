//! Each op of `stage-init` by what the kernel then shows, in throwaway user, pid and mount namespaces; as root with 65,536 ids,
//! else in the caller's own user namespace, where the tests that need more ids say so.
mod credentials;
mod files;
mod hostile;
mod mounts;
mod process;
mod root;
mod scheduling;
mod start;
mod support;
mod terminal;
