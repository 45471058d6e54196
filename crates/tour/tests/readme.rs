//! The commands of the READMEs are run as they stand there, and print what is printed there.
//!
//! Figures are compared with nothing: times and ports differ from run to run. Everything else is.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use snapbox::cmd::Command;

/// Commands that no test can run, each with its reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cargo xtask test", "it is what runs this test"),
    ("--live", "it needs a key"),
    ("cargo mock", "it serves until it is stopped"),
    (
        "echo \"exit code",
        "somebody has to press Ctrl-C: the pattern's own tests do",
    ),
    ("--latency 7s..12s", "it takes half a minute"),
    ("--release", "it builds everything once more"),
    ("cargo bench", "it measures for five minutes"),
    (
        "cargo xtask book",
        "it installs mdBook; tidy checks what the book is made of",
    ),
];

#[test]
fn every_command_of_every_readme_works_and_prints_what_the_readme_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut commands = Vec::new();
    for readme in readmes(&root) {
        let text = fs::read_to_string(&readme).expect("a README can be read");
        commands.extend(commands_in(&text));
    }
    assert!(
        commands.len() > 10,
        "the READMEs have commands: {commands:#?}"
    );

    // A command that is named in passing is run where its output is shown, or once.
    let mut runnable: Vec<Shown> = Vec::new();
    commands.sort_by_key(|shown| (shown.command.clone(), shown.output.is_none()));
    for shown in commands {
        let left_out = LEFT_OUT
            .iter()
            .any(|(part, _)| shown.command.contains(part));
        let known = runnable.iter().any(|run| run.command == shown.command);
        if !left_out && (shown.output.is_some() || !known) {
            runnable.push(shown);
        }
    }

    // They mostly wait, so some are run at once; and all before the test fails.
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(shown) = runnable.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(|| check(&root, shown)).is_err() {
                        wrong.lock().expect("no push panics").push(&shown.command);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no push panics");
    assert!(wrong.is_empty(), "wrong: {wrong:#?}");
}

fn check(root: &Path, Shown { command, output }: &Shown) {
    // Through a shell, for its pipes and quotes. One pipe for both outputs keeps their order.
    let run = Command::new("sh")
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .env("CARGO_TERM_QUIET", "true")
        .env_remove("RUST_LOG")
        .stdin("")
        .current_dir(root)
        .assert();
    match output {
        Some(output) => run.stdout_eq(without_figures(output)),
        None => run.success(),
    };
}

fn readmes(root: &Path) -> Vec<PathBuf> {
    let patterns = fs::read_dir(root.join("patterns")).expect("there are patterns");
    let mut readmes: Vec<_> = patterns
        .map(|entry| {
            entry
                .expect("a folder can be listed")
                .path()
                .join("README.md")
        })
        .collect();
    readmes.push(root.join("README.md"));
    readmes.sort();
    readmes
}

/// A command, and what the README shows of its output.
#[derive(Debug)]
struct Shown {
    command: String,
    output: Option<String>,
}

impl Shown {
    fn new(command: &str, output: Option<&str>) -> Shown {
        Shown {
            command: command.to_owned(),
            output: output.map(str::to_owned),
        }
    }
}

/// Commands stand in inline code (`cargo ...`), in `sh` blocks, and behind `$` in `text` blocks,
/// where their output follows. A block of output alone belongs to the inline command before it.
fn commands_in(readme: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut just_named = false;
    for line in readme.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() {
                None
            } else {
                Some(language)
            };
            if fence == Some("text")
                && just_named
                && let Some(last) = commands.last_mut()
            {
                last.output = Some(String::new());
            }
            just_named = false;
            continue;
        }
        match fence {
            Some(_) if line.starts_with("$ ") => commands.push(Shown::new(&line[2..], Some(""))),
            Some("sh") if line.starts_with("cargo ") => {
                let command = line.split(" #").next().unwrap_or(line);
                commands.push(Shown::new(command.trim(), None));
            }
            Some("text") => {
                if let Some(output) = commands.last_mut().and_then(|last| last.output.as_mut()) {
                    output.push_str(line);
                    output.push('\n');
                }
            }
            Some(_) => {}
            None => {
                let inline = line.split('`').skip(1).step_by(2);
                let mut named = inline.filter(|code| code.starts_with("cargo ")).peekable();
                // The command may be named some lines before its block, but in the same section.
                just_named = named.peek().is_some() || (just_named && !line.starts_with('#'));
                commands.extend(named.map(|command| Shown::new(command, None)));
            }
        }
    }
    commands
}

/// A pattern that matches the text whatever its figures are. What a README leaves out, it marks
/// with `[...]`.
fn without_figures(text: &str) -> String {
    let mut pattern = String::new();
    for line in text.lines() {
        if line == "[...]" {
            // Any number of lines.
            pattern.push_str("...\n");
            continue;
        }
        let mut in_figure = false;
        for (position, part) in line.split("[...]").enumerate() {
            if position > 0 {
                pattern.push_str("[..]");
            }
            // The mock numbers its requests as they come, and writes the numbers with letters.
            let mut in_id = false;
            for character in part.chars() {
                in_id = character.is_ascii_alphanumeric() && (in_id || pattern.ends_with("req_"));
                let figure = in_id || character.is_ascii_digit() || (in_figure && character == '.');
                if figure && !in_figure {
                    pattern.push_str("[..]");
                } else if !figure {
                    pattern.push(character);
                }
                in_figure = figure;
            }
        }
        pattern.push('\n');
    }
    pattern
}
