//! placeholder
use crate::Error;
pub(crate) struct Applied {
    pub(crate) path: String,
    pub(crate) owned: bool,
}
pub(crate) fn apply(_rdt: &crate::plan::ir::IntelRdt, _pid: i32) -> Result<Applied, Error> {
    Err(Error::system("x", tare_sys::Errno::ENOSYS))
}
pub(crate) fn remove(_a: &Applied) {}
