//! Imports point one way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The whole architecture. A module may import what its row lists, nothing else.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // The spec and the policy for their words.
    ("admin", &["audit", "client", "clock", "matrix", "policy"]),
    ("audit", &["clock", "duration", "matrix", "policy"]),
    ("client", &[]),
    ("clock", &[]),
    (
        "config",
        // Every module's own Config, gathered.
        &[
            "admin",
            "audit",
            "duration",
            "guard",
            "identity",
            "policy",
            "proxy",
            "telemetry",
        ],
    ),
    ("duration", &[]),
    (
        "guard",
        &[
            "audit", "client", "clock", "duration", "identity", "matrix", "policy",
        ],
    ),
    ("identity", &["client", "clock", "duration", "matrix"]),
    ("matrix", &[]),
    ("policy", &["matrix"]),
    ("proxy", &["client", "duration"]),
    (
        "server",
        &[
            "admin",
            "audit",
            "client",
            "clock",
            "config",
            "guard",
            "identity",
            "matrix",
            "policy",
            "proxy",
            "telemetry",
        ],
    ),
    ("telemetry", &[]),
];

/// Crates, and the only modules that may know them.
const KNOWN_TO: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("askama", &["admin"]),
    ("axum", &["admin", "server"]),
    ("clap", &["cli", "main"]),
    ("cookie", &["admin"]),
    ("plotters", &["admin"]),
    ("utoipa", &["admin"]),
    ("hyper", &["proxy", "server"]),
    ("hyper_util", &["proxy", "server"]),
    ("sqlx", &["audit"]),
    ("subtle", &["admin"]),
    (
        "tokio",
        &[
            "admin", "audit", "cli", "guard", "identity", "proxy", "server",
        ],
    ),
    ("listenfd", &["server"]),
    ("proxy_header", &["server"]),
    ("tokio_rustls", &["proxy", "server"]),
    ("toml", &["config"]),
    ("tower_service", &["guard", "identity", "proxy", "server"]),
];

/// Every source file with the module it belongs to: the first part of its path.
fn sources() -> Vec<(String, PathBuf)> {
    fn gather(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    gather(&root, &mut paths);
    let module = |path: &Path| {
        let first = path
            .strip_prefix(&root)
            .unwrap()
            .components()
            .next()
            .unwrap();
        first
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    };
    paths
        .into_iter()
        .map(|path| (module(&path), path))
        .collect()
}

/// The code of a file: without comments, without the tests at its end.
fn code(path: &Path) -> String {
    let is_tests =
        path.ends_with("tests.rs") || path.components().any(|it| it.as_os_str() == "tests");
    if is_tests {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The names that stand after `crate::`, in braces too.
fn imports(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let list = match after.strip_prefix('{') {
            Some(list) => outermost(list),
            None => vec![after],
        };
        for name in list {
            let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
            names.insert(
                name.trim()
                    .chars()
                    .take_while(|char| is_part(*char))
                    .collect(),
            );
        }
    }
    names
}

/// The parts of a list in braces, without what is in braces within.
fn outermost(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&list[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[test]
fn imports_point_one_way() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for (module, path) in sources() {
        if matches!(module.as_str(), "lib" | "main" | "cli") {
            continue;
        }
        let Some(allowed) = table.get(module.as_str()) else {
            panic!("{module} ({}) has no row in the table", path.display());
        };
        for name in imports(&code(&path)) {
            let known = name == module || allowed.contains(&name.as_str());
            assert!(known, "{}: {module} may not import {name}", path.display());
        }
        seen.insert(module);
    }
    assert_eq!(seen.len(), table.len(), "rows without a module: {table:?}");
}

#[test]
fn the_table_has_no_circle() {
    let table: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut done = BTreeSet::new();
    while done.len() < table.len() {
        let free: Vec<_> = table
            .iter()
            .filter(|(module, imports)| {
                !done.contains(*module) && imports.iter().all(|it| done.contains(it))
            })
            .map(|(module, _)| *module)
            .collect();
        assert!(!free.is_empty(), "a circle among all but {done:?}");
        done.extend(free);
    }
}

#[test]
fn every_crate_stays_where_it_is_known() {
    let mut seen = BTreeSet::new();
    for (module, path) in sources() {
        let code = code(&path);
        for (name, known_to) in KNOWN_TO {
            let is_used = code.match_indices(&format!("{name}::")).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|char| char.is_ascii_alphanumeric() || "_:".contains(char))
            });
            if is_used {
                assert!(
                    known_to.contains(&module.as_str()),
                    "{} knows {name}",
                    path.display()
                );
                seen.insert(*name);
            }
        }
    }
    assert_eq!(seen.len(), KNOWN_TO.len(), "only {seen:?} are used at all");
}

#[test]
fn the_parser_of_imports_sees_them() {
    let code = "use crate::a::B;\nuse crate::{c::{D, e}, f};\nlet x = crate::g::h();";
    let expected: BTreeSet<_> = ["a", "c", "f", "g"].map(str::to_owned).into();
    assert_eq!(imports(code), expected);
}

#[test]
fn files_stay_small() {
    for (_, path) in sources() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= 400,
            "{} has {lines} lines: split it",
            path.display()
        );
    }
}
