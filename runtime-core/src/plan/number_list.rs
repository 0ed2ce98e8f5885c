//! Lists of CPUs or NUMA nodes like `0-3,7`, as bit masks in 64-bit words.
use crate::config::{ConfigError, invalid};

/// Highest number taken: above what any kernel is built for (CONFIG_NR_CPUS is at most 8192, MAX_NUMNODES 1024).
const HIGHEST: u32 = 8191;

/// The mask of a list; an empty text is an empty mask.
///
/// # Errors
/// Anything but numbers and rising ranges of them, joined by commas; a number above 8191.
pub fn mask(list: &str) -> Result<Vec<u64>, ConfigError> {
    let mut words = Vec::new();
    for part in list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first, part)?, number(last, part)?);
        if first > last {
            return invalid(format!("the range {part:?} falls"));
        }
        for number in first..=last {
            let word = number as usize / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1_u64 << (number % 64);
        }
    }
    Ok(words)
}

fn number(text: &str, part: &str) -> Result<u32, ConfigError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if plain && number <= HIGHEST => Ok(number),
        Ok(number) if plain => invalid(format!("{number} is above {HIGHEST}")),
        _ => invalid(format!("{part:?} is neither a number nor a range like 0-3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, expect: &str) {
        let result = match mask(list) {
            Ok(words) => words
                .iter()
                .map(|word| format!("{word:x}"))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.reason,
        };
        assert_eq!(result, expect, "{list}");
    }

    #[test]
    fn lists() {
        check("", "");
        check("0", "1");
        check("0-3,7", "8f");
        check("7,0-3", "8f");
        check(" 1 , 2 ", "6");
        check("1,,2,", "6");
        check("63,64", "8000000000000000 1");
        check("128", "0 0 1");
        check("3-3", "8");
    }

    #[test]
    fn refused() {
        check("3-1", "the range \"3-1\" falls");
        check("a", "\"a\" is neither a number nor a range like 0-3");
        check("1-", "\"1-\" is neither a number nor a range like 0-3");
        check("-1", "\"-1\" is neither a number nor a range like 0-3");
        check("+1", "\"+1\" is neither a number nor a range like 0-3");
        check("0x1", "\"0x1\" is neither a number nor a range like 0-3");
        check(
            "1-2-3",
            "\"1-2-3\" is neither a number nor a range like 0-3",
        );
        check("8191", &format!("{}8000000000000000", "0 ".repeat(127)));
        check("8192", "8192 is above 8191");
        check("0-4294967295", "4294967295 is above 8191");
        check(
            "99999999999",
            "\"99999999999\" is neither a number nor a range like 0-3",
        );
    }
}
