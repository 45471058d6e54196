//! Each wrong half goes wrong, each right half does not, and the page and the program say what they did.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pitfalls::{Both, PITFALLS, Pitfall};
use snapbox::cmd::Command;

const PAGE: &str = include_str!("../../../docs/src/pitfalls.md");

/// What one pair may take. The longest takes 2 s by itself; on a machine with ten times as much to do as
/// it can, five times that. It is here to find what hangs.
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_wrong_half_goes_wrong_every_right_half_does_not_and_the_page_tells_it() {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    // Most of them wait for most of their time, so some run at once.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(pitfall) = PITFALLS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let both = pitfall.run();
                    let found = complaints(pitfall, &both, started.elapsed());
                    wrong.lock().expect("no push panics").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no push panics");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as it should be.
fn complaints(pitfall: &Pitfall, both: &Both, took: Duration) -> Vec<String> {
    let section = section(pitfall);
    let lines = both.to_string();
    let told = lines
        .lines()
        .all(|line| section.lines().any(|told| told == line));
    let all = [
        (!both.wrong.well, "the wrong half went well"),
        (both.right.well, "the right half went wrong"),
        (told, "docs/src/pitfalls.md says something else"),
        (took < LIMIT, "it took too long"),
    ];
    let complaints = all.iter().filter(|(fine, _)| !fine);
    let named = complaints.map(|(_, what)| format!("{}: {what}, {took:?}\n{both}", pitfall.number));
    named.collect()
}

/// The part of the page that is about this one.
fn section(pitfall: &Pitfall) -> &'static str {
    let heading = format!("\n## {}. {}\n", pitfall.number, pitfall.title);
    let after = PAGE.split_once(&heading).unwrap_or_default().1;
    after.split("\n## ").next().unwrap_or_default()
}

#[test]
fn every_pitfall_has_a_file_that_says_what_it_is_and_the_page_shows_both_halves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = fs::read_dir(folder).expect("the sources are there");
    let files = files.map(|file| file.expect("it can be read").path());
    let mut files: Vec<_> = files
        .filter(|path| path.is_file())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    files.sort();
    assert_eq!(files.len(), PITFALLS.len());
    for (pitfall, (number, file)) in PITFALLS.iter().zip((1..).zip(&files)) {
        assert_eq!(pitfall.number, number);
        assert!(
            file.starts_with(&format!("{number:02}_")),
            "{number}: {file}"
        );
        let section = section(pitfall);
        for half in ["wrong", "right"] {
            let shown = section.matches(&format!(":{half}}}}}")).count();
            assert_eq!(shown, 1, "{number}: the page includes its {half} half");
        }
        assert!(
            section.contains(&format!("/{file}")),
            "{number}: from its own file"
        );
        assert!(
            section.contains(pitfall.lesson),
            "{number}: {}",
            pitfall.lesson
        );
    }
}

fn program(arguments: &[&str]) -> Command {
    Command::new(env!("CARGO_BIN_EXE_pitfall")).args(arguments)
}

#[test]
fn the_program_shows_a_pair_and_its_lesson() {
    let pitfall = &PITFALLS[9];
    let told = format!(
        "10. {}\n\n{}\n\n{}\n",
        pitfall.title,
        pitfall.run(),
        pitfall.lesson
    );
    program(&["10"])
        .assert()
        .success()
        .stdout_eq(told)
        .stderr_eq("");
}

#[test]
fn the_program_lists_all() {
    let listed = program(&["--list"]).assert().success().get_output().clone();
    let listed = String::from_utf8(listed.stdout).expect("it is text");
    let lines = PITFALLS
        .iter()
        .map(|it| format!("{:2}  {}\n", it.number, it.title));
    assert_eq!(listed, lines.collect::<String>());
}

#[test]
fn the_program_says_how_it_is_called() {
    let range = format!("is not in 1..={}", PITFALLS.len());
    let too_many = (PITFALLS.len() + 1).to_string();
    let mistakes: [(&[&str], &str); 6] = [
        (&[], "Usage: pitfall"),
        (&["0"], &range),
        (&[&too_many], &range),
        (&["ten"], "invalid digit"),
        (&["--lost"], "Usage: pitfall"),
        (&["3", "--list"], "Usage: pitfall"),
    ];
    for (arguments, expected) in mistakes {
        let output = program(arguments).assert().code(2).stdout_eq("");
        let words = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(words.contains(expected), "{arguments:?}: {words}");
    }
}
