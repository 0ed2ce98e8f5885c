//! Attacks that other runtimes once fell for, one file each, named after the hole's id.
//!
//! An attack is a function that does what the hole's report says and ends by `harm` when it sees that it got through. It runs twice
//! or more: against a plan without the defence in question (`TARE_WEAKEN`, only in a runtime built with the feature `proof`), where
//! it must do harm, or it would prove nothing; and against the runtime as it is, where it must not.
//!
//! What of the list no runtime can fall for stands in later.toml, with the crate that will hold its test.

use crate::case::Case;
use crate::sandbox::Sandbox;

mod flipper;
mod watch;

/// One way to attack, and what guards against it.
pub struct Attack {
    /// `cve_2021_30465/what_it_does`.
    pub name: String,
    /// The holes that it stands for, the file's own first.
    pub ids: &'static [&'static str],
    /// Without these defences it must do harm; empty where the attack shows itself that it would be seen.
    pub without: &'static str,
    /// Without these it must not, because others are left.
    pub held_without: &'static [&'static str],
    pub run: fn(&mut Sandbox),
}

macro_rules! holes {
    ($($file:ident,)*) => {
        $( mod $file; )*
        /// Every attack, file by file.
        pub fn all() -> Vec<Attack> {
            let mut all = Vec::new();
            $( all.extend($file::attacks(stringify!($file))); )*
            all
        }
        #[cfg(test)]
        const FILES: &[&str] = &[ $( stringify!($file) ),* ];
    };
}

/// Lists the attacks of one file: `attacks!(["CVE-1"]: walk without "in-root" held without ["tries"],)`.
macro_rules! attacks {
    ($ids:expr; $( $function:ident without $without:literal $(held without $held:expr)? ),* $(,)?) => {
        pub fn attacks(file: &str) -> Vec<$crate::cve::Attack> {
            vec![$( {
                let lists: &[&'static [&'static str]] = &[$( &$held )?];
                let held_without = lists.first().copied().unwrap_or_default();
                $crate::cve::Attack {
                    name: format!("{file}/{}", stringify!($function)),
                    ids: &$ids,
                    without: $without,
                    held_without,
                    run: $function,
                }
            } ),*]
        }
    };
}
pub(crate) use attacks;

holes! {
    cve_2016_9962,
    cve_2019_16884,
    cve_2019_18837,
    cve_2019_19921,
    cve_2019_5736,
    cve_2021_30465,
    cve_2021_43784,
    cve_2022_1227,
    cve_2022_23648,
    cve_2022_29162,
    cve_2023_25809,
    cve_2023_27561,
    cve_2024_21626,
    cve_2024_25621,
    cve_2024_40635,
    cve_2024_45310,
    cve_2024_9676,
    cve_2025_24965,
    cve_2025_31133,
    cve_2025_52565,
    cve_2025_52881,
    cve_2026_30892,
    cve_2026_41579,
}

/// The attacks as cases, for the process that runs one.
pub fn cases() -> impl Iterator<Item = Case> {
    all().into_iter().map(|attack| Case {
        name: attack.name,
        run: attack.run,
    })
}

#[cfg(test)]
mod tests;
