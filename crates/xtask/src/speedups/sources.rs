//! The hash of the code that figures depend on: it tells whether they may have changed.

use sha2::{Digest, Sha256};

use crate::code;
use crate::tidy::Tree;

/// The SHA-256 of a file, or of all Rust files of a folder, as hex; none if there is no such file.
///
/// Of Rust only what can move a figure counts: comments, tests and the layout are left out, or
/// every better comment would cost a new measurement.
pub fn digest(tree: &Tree, source: &str) -> Option<String> {
    let folder = format!("{source}/");
    let below = tree
        .files_below(folder)
        .filter(|(path, _)| path.ends_with(".rs"));
    let itself = tree.files.get_key_value(source);
    let itself = itself.map(|(path, text)| (path.as_str(), text.as_str()));
    let mut files = itself.into_iter().chain(below).peekable();
    files.peek()?;
    let mut hash = Sha256::new();
    for (path, text) in files {
        // The path is part of it, and each part ends with what neither holds: no two sets of files
        // are one text.
        hash.update(path);
        hash.update([0]);
        hash.update(matter(path, text));
        hash.update([0]);
    }
    let digits = hash.finalize();
    Some(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn matter(path: &str, text: &str) -> String {
    if !path.ends_with(".rs") {
        return text.to_owned();
    }
    let code = code::without_comments(&code::without_tests(text));
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::samples::tree;

    fn of(text: &str) -> Option<String> {
        digest(&tree(&[("core/src/a.rs", text)]), "core/src")
    }

    #[test]
    fn code_counts_and_comments_tests_and_layout_do_not() {
        let code = of("fn f() { g(1) }\n");
        assert!(code.is_some());
        for same in [
            "// Why.\nfn f() {\n    g(1)\n}\n",
            "fn f() { g(1) }\n#[cfg(test)]\nmod tests { fn t() {} }\n",
        ] {
            assert_eq!(of(same), code, "{same}");
        }
        assert_ne!(of("fn f() { g(2) }\n"), code);
    }

    #[test]
    fn a_file_added_taken_away_or_renamed_counts() {
        let files = [("src/a.rs", "fn a() {}"), ("src/b.rs", "fn b() {}")];
        let renamed = [("src/a.rs", "fn a() {}"), ("src/c.rs", "fn b() {}")];
        let of = |files: &[(&str, &str)]| digest(&tree(files), "src");
        assert_ne!(of(&files), of(&files[..1]));
        assert_ne!(of(&files), of(&renamed));
        assert_eq!(digest(&tree(&files), "gone"), None);
        assert_eq!(digest(&tree(&files), "src/a"), None);
    }
}
