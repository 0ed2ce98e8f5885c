//! User names, for the `owner` of a container.

/// The name of a user id in /etc/passwd, or `#UID` as crun writes an unknown one.
pub fn name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&text, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
}

/// The name by the text of a passwd file.
pub fn find(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id: u32 = fields.nth(1)?.parse().ok()?;
        (id == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_third_field_counts() {
        let text = "root:x:0:0::/:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(super::find(text, 1000), Some("ann"));
        assert_eq!(super::find(text, 1001), None);
    }
}
