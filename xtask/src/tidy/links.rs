//! Links in Markdown files resolve: the file exists, and so does the heading that an anchor names.

use super::tree::Tree;

/// Checks every inline link that does not leave the project.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension("md")) {
        for target in links(&file.text) {
            if let Some(problem) = broken(tree, &file.path, &target) {
                findings.push(format!("{}: ({target}) {problem}", file.path));
            }
        }
    }
    findings
}

fn broken(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        from.to_owned()
    } else {
        resolve(from, path)
    };
    if !tree.paths.contains(&path) {
        return Some("points to no file of this project");
    }
    let headings = tree
        .get(&path)
        .map(|file| anchors(&file.text))
        .unwrap_or_default();
    (!anchor.is_empty() && !headings.iter().any(|heading| heading == anchor))
        .then_some("names no heading there")
}

/// The targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push(
                rest[..end]
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    found
}

/// The lines outside fenced blocks, with code spans blanked.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

fn anchors(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let slug = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            found.push(slug.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}

fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let tree = |text: &str| {
            Tree::of(&[
                ("docs/a.md", text),
                ("README.md", "# One & two\n"),
                ("docs/b.md", ""),
            ])
        };
        for good in [
            "[x](b.md)",
            "[x](../README.md#one--two)",
            "[x](https://example.org/y)",
            "`[x](none.md)`",
        ] {
            assert!(check(&tree(good)).is_empty(), "{good}");
        }
        for bad in [
            "[x](c.md)",
            "[x](../README.md#three)",
            "[x](README.md)",
            "[x](#nothing)",
        ] {
            assert_eq!(check(&tree(bad)).len(), 1, "{bad}");
        }
        assert!(check(&tree("```\n[x](c.md)\n```")).is_empty());
    }
}
