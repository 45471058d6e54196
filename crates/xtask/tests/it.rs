//! The program as CI and readers start it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn xtask(arguments: &[&str]) -> Output {
    xtask_in(Path::new(env!("CARGO_MANIFEST_DIR")), arguments)
}

fn xtask_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).current_dir(folder);
    command.output().expect("it was built")
}

/// A workspace with one pattern, in a folder of its own.
fn workspace(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier run has left would be checked too.
    let _ = fs::remove_dir_all(&root);
    let manifests = [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"patterns/*\"]\n[workspace.lints]\n",
        ),
        (
            "patterns/07-retry/Cargo.toml",
            "[package]\nname = \"retry\"\n[lints]\nworkspace = true\n",
        ),
    ];
    for (path, text) in manifests.iter().chain(files) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("it lies below the root")).expect("it is ours");
        fs::write(path, text).expect("it is ours");
    }
    root
}

const README: &str = "# Retry\n\nFrom [it](src/backoff.rs):\n\n```rust\npub fn next() {}\n```\n\n## Read in this order\n\n1. [the policy](src/backoff.rs)\n2. [blocking](src/sync.rs)\n";

#[test]
fn tidy_prints_distance_and_reading_size_in_plain_text_and_passes_what_is_tidy() {
    let root = workspace(
        "tidy",
        &[
            ("patterns/07-retry/README.md", README),
            ("patterns/07-retry/src/lib.rs", "mod backoff;\n"),
            (
                "patterns/07-retry/src/backoff.rs",
                "//! Pure.\npub fn next() {}\n",
            ),
            (
                "patterns/07-retry/src/sync.rs",
                "fn a() {}\nfn b() {}\nfn c() {}\n",
            ),
            (
                "patterns/07-retry/src/async.rs",
                "async fn a() {}\nfn b() {}\nfn c() {}\n",
            ),
        ],
    );
    let output = xtask_in(&root, &["tidy"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    assert_eq!(
        stdout,
        "twins              lines  changed  distance  limit\n\
         patterns/07-retry      6        2      34 %   40 %\n\
         \n\
         reading path       files  code lines\n\
         patterns/07-retry      2           4\n\
         \n\
         tidy: 22 rules hold\n"
    );
}

#[test]
fn tidy_names_each_file_and_exits_1_on_what_is_untidy() {
    let root = workspace(
        "untidy",
        &[
            ("patterns/07-retry/README.md", README),
            ("patterns/07-retry/src/lib.rs", "mod backoff;\n"),
            (
                "patterns/07-retry/src/backoff.rs",
                "fn f() { Instant::now(); }\npub fn next() {}\n",
            ),
        ],
    );
    let output = xtask_in(&root, &["tidy"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        "patterns/07-retry/src/backoff.rs:1: `Instant::now` in a file that only decides; \
         take `now` as an argument\n\
         patterns/07-retry/README.md: its link to src/sync.rs leads nowhere; \
         mend the link or remove it\n\
         error: tidy: 2 to mend, listed above\n"
    );
}

const RESULTS: &str = r#"{
  "command": "cargo xtask speedups",
  "machine": {"cpu": "abacus", "cores": 2, "memory": "24 GiB", "os": "Linux"},
  "versions": {"rustc": "1.95.0"},
  "benches": {"guide": {"date": "25 Nov 2026", "command": "cargo run", "busy": null, "sources": {}}},
  "figures": [
    {"id":"guide/concurrent-requests/async/at-once","value":3.0,"low":3.0,"high":3.0,"unit":"s"},
    {"id":"guide/concurrent-requests/async/in-turn","value":9.0,"low":9.0,"high":9.0,"unit":"s"},
    {"id":"guide/concurrent-requests/async/speedup","value":3.0,"low":2.9,"high":3.1,"unit":"ratio"},
    {"id":"guide/concurrent-requests/sync/at-once","value":3.0,"low":3.0,"high":3.0,"unit":"s"},
    {"id":"guide/concurrent-requests/sync/in-turn","value":9.0,"low":9.0,"high":9.0,"unit":"s"},
    {"id":"guide/concurrent-requests/sync/speedup","value":2.98,"low":2.9,"high":3.1,"unit":"ratio"}
  ],
  "series": []
}"#;

const QUOTE: &str = "docs/src/benchmarks.md#guide/concurrent-requests/async/speedup";

/// A workspace whose README quotes a figure so.
fn measured(name: &str, quoted: &str) -> PathBuf {
    workspace(
        name,
        &[
            ("patterns/07-retry/src/lib.rs", ""),
            (
                "README.md",
                &format!("# It\n\nIt is [{quoted}]({QUOTE}).\n"),
            ),
            ("docs/results.json", RESULTS),
            (
                "docs/src/benchmarks.md",
                "# Benchmarks\n\n<!-- figures: machine --><!-- /figures -->\n\n<!-- figures: guide --><!-- /figures -->\n",
            ),
        ],
    )
}

#[test]
fn speedups_without_a_run_makes_tables_charts_and_quotes_from_the_results() {
    let root = measured("speedups", "2.5x");
    let run = || xtask_in(&root, &["speedups", "--no-run"]);
    let output = run();
    assert_eq!(
        (
            output.status.code(),
            &*String::from_utf8_lossy(&output.stdout)
        ),
        (
            Some(0),
            "wrote README.md\nwrote docs/src/benchmarks.md\nwrote docs/src/charts/four-corners.svg\n"
        )
    );
    let read = |path| fs::read_to_string(root.join(path)).expect("it was written");
    assert!(read("README.md").contains("It is [3.0x]("));
    let page = read("docs/src/benchmarks.md");
    for words in [
        "abacus",
        "3.00x (2.90 to 3.10)",
        "](charts/four-corners.svg)",
    ] {
        assert!(page.contains(words), "{page}");
    }
    let chart = read("docs/src/charts/four-corners.svg");
    let title =
        "Three requests of 3 s at once are 2.98x as fast as in turn with threads, 3.00x with async";
    assert!(
        chart.contains(&format!("<title>{title}</title>")),
        "{chart}"
    );
    // Everything is as it should be, so nothing is touched.
    let again = run();
    assert_eq!((again.status.code(), again.stdout.len()), (Some(0), 0));
}

#[test]
fn speedups_leaves_a_broken_claim_to_its_author() {
    let root = measured("claim", "at most 2.5x");
    let output = xtask_in(&root, &["speedups", "--no-run"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr,
        "README.md: `at most 2.5x` does not hold: guide/concurrent-requests/async/speedup is \
         3.00x (2.90 to 3.10)\n\
         error: 1 quoted figures need your own words, listed above\n"
    );
}

/// On another machine the quick set begins anew, and pages quote more than it measures.
#[test]
fn speedups_leaves_a_quote_of_a_bench_that_was_not_measured_as_it_is() {
    let root = measured("unmeasured-quote", "2.5x");
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).expect("it was written");
    let text = text + "\nAnd [7x](docs/src/benchmarks.md#peers/clients/sync/ours/to-reqwest).\n";
    fs::write(&readme, text).expect("it can be written");
    let output = xtask_in(&root, &["speedups", "--no-run"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &*stderr),
        (
            Some(0),
            "figures of peers/clients are quoted, were not measured, and still say what they said; \
             with `--all` they are measured too\n"
        )
    );
    let text = fs::read_to_string(&readme).expect("it was written");
    assert!(text.contains("[3.0x](") && text.contains("[7x]("), "{text}");
    // But nothing that is kept may quote it.
    let output = xtask_in(&root, &["tidy"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("which is no figure"), "{stderr}");
}

#[test]
fn tidy_fails_when_a_figure_is_quoted_wrongly() {
    let root = measured("misquoted", "2.5x");
    let output = xtask_in(&root, &["tidy"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("README.md:3: it quotes other figures"),
        "{stderr}"
    );
}

#[test]
fn speedups_names_what_is_missing() {
    let root = workspace("unmeasured", &[("patterns/07-retry/src/lib.rs", "")]);
    for way in [&["--no-run"][..], &["--accept", "guide"]] {
        let output = xtask_in(&root, &[&["speedups"], way].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            stderr,
            "error: there is no docs/results.json yet; run `cargo xtask speedups`\n"
        );
    }
    let output = xtask(&["speedups", "--only", "giude"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("in-flight"), "{stderr}");
}

#[test]
fn without_a_command_it_prints_its_usage_on_stderr_and_exits_2() {
    let output = xtask(&[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    for command in ["test", "ci", "tidy", "sdk", "speedups"] {
        assert!(stderr.contains(command), "{stderr}");
    }
}

#[test]
fn an_unknown_command_is_named_on_stderr_and_exits_2() {
    let output = xtask(&["tydi"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(
        stderr.contains("tydi") && stderr.contains("Usage: cargo xtask"),
        "{stderr}"
    );
}

#[test]
fn it_does_not_mind_that_nobody_reads_what_it_prints() {
    let root = workspace("unread", &[("patterns/07-retry/src/lib.rs", "")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let status = command
        .arg("tidy")
        .current_dir(&root)
        .stdout(closed_pipe())
        .stderr(closed_pipe())
        .status();
    // There is no README: it fails for that, as it would with readers, and does not panic (101).
    assert_eq!(status.expect("it was built").code(), Some(1));
}

/// As `| head` leaves it.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().expect("there are some left");
    drop(reader);
    writer
}
