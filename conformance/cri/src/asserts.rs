//! Assertions of async cases: a case ends with the values and the line.

macro_rules! is {
    ($left:expr, $right:expr) => {{
        let (left, right) = (&$left, &$right);
        if left != right {
            return Err(format!("{left:?} instead of {right:?} (line {})", line!()));
        }
    }};
}

macro_rules! holds {
    ($condition:expr, $shown:expr) => {
        if !$condition {
            return Err(format!(
                "not {}: {:?} (line {})",
                stringify!($condition),
                $shown,
                line!()
            ));
        }
    };
}

pub(crate) use {holds, is};
