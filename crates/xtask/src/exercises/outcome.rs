//! What the tests of an exercise must say, as it comes and with its solution.

use super::Exercise;
use crate::tidy::Failure;

/// How the tests of one exercise ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Those that passed.
    pub green: Vec<String>,
    /// Those that failed.
    pub red: Vec<String>,
    /// Warnings of the compiler, by their first lines.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Reads what a test program prints: `test it_holds ... ok`.
    pub fn read(printed: &str) -> Outcome {
        let mut outcome = Outcome::default();
        for line in printed.lines() {
            let Some((name, end)) = line
                .strip_prefix("test ")
                .and_then(|line| line.split_once(" ... "))
            else {
                continue;
            };
            match end.split_whitespace().next() {
                Some("ok") => outcome.green.push(name.to_owned()),
                _ => outcome.red.push(name.to_owned()),
            }
        }
        outcome
    }

    /// `red 3, green 1`
    pub fn counts(&self) -> String {
        let counts = [("red", self.red.len()), ("green", self.green.len())];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts
            .map(|(word, count)| format!("{word} {count}"))
            .collect();
        counts.join(", ")
    }
}

/// An exercise as it comes that warns, is green where it should be red, or the other way round.
pub fn as_it_comes(exercise: &Exercise, outcome: &Outcome) -> Vec<Failure> {
    let mut failures = warned(exercise, outcome);
    let mut fail = |wrong: String, remedy: &str| {
        failures.push(Failure::new(exercise.path("tests/check.rs"), wrong, remedy));
    };
    for test in outcome
        .green
        .iter()
        .filter(|it| !exercise.green.contains(it))
    {
        fail(
            format!("`{test}` passes as it comes"),
            "let it need what is to be written, or name it in `green` of Cargo.toml",
        );
    }
    for test in outcome.red.iter().filter(|it| exercise.green.contains(it)) {
        fail(
            format!("`{test}` fails as it comes"),
            "let it pass, or take it out of `green` of Cargo.toml",
        );
    }
    let run: Vec<_> = outcome.green.iter().chain(&outcome.red).collect();
    for test in exercise.green.iter().filter(|it| !run.contains(it)) {
        fail(
            format!("there is no test `{test}`"),
            "take it out of `green` of Cargo.toml",
        );
    }
    if outcome.red.is_empty() {
        fail(
            "nothing fails as it comes".to_owned(),
            "let a test need what is to be written",
        );
    }
    failures
}

/// An exercise that is not green with its solution.
pub fn with_its_solution(exercise: &Exercise, outcome: &Outcome) -> Vec<Failure> {
    let mut failures = warned(exercise, outcome);
    let place = exercise.path("solution/lib.rs");
    let red = outcome.red.iter();
    failures.extend(red.map(|test| {
        Failure::new(
            &place,
            format!("`{test}` fails with it"),
            "mend one of the two",
        )
    }));
    if outcome.green.is_empty() {
        failures.push(Failure::new(&place, "no test passes with it", "mend it"));
    }
    failures
}

fn warned(exercise: &Exercise, outcome: &Outcome) -> Vec<Failure> {
    let warning = |text: &String| {
        Failure::new(
            &exercise.dir,
            format!("the compiler warns: {text}"),
            "a learner's first sight should be clean",
        )
    };
    outcome.warnings.iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::sound;
    use super::*;

    const PRINTED: &str = "\nrunning 2 tests\ntest it_starts ... ok\ntest it_ends ... FAILED\n\nfailures:\n\n---- it_ends stdout ----\ntest of something ... else\n\ntest result: FAILED. 1 passed; 1 failed\n";

    fn outcome(green: &[&str], red: &[&str]) -> Outcome {
        let owned = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        Outcome {
            green: owned(green),
            red: owned(red),
            warnings: Vec::new(),
        }
    }

    fn lazy() -> Exercise {
        Exercise::all(&sound()).remove(0)
    }

    #[test]
    fn what_a_test_program_prints_is_read() {
        let read = Outcome::read(&PRINTED.replace("test of something ... else\n", ""));
        assert_eq!(read, outcome(&["it_starts"], &["it_ends"]));
        assert_eq!(read.counts(), "red 1, green 1");
    }

    #[test]
    fn red_but_for_the_named_ones_is_as_it_should_come() {
        assert_eq!(
            as_it_comes(&lazy(), &outcome(&["it_starts"], &["it_ends"])),
            []
        );
    }

    #[test]
    fn a_test_that_is_green_too_soon_fails() {
        let found = as_it_comes(&lazy(), &outcome(&["it_starts", "it_runs"], &["it_ends"]));
        assert_eq!(found.len(), 1);
        assert!(found[0].wrong.contains("`it_runs` passes"), "{}", found[0]);
    }

    #[test]
    fn a_test_that_is_red_though_it_is_named_green_fails() {
        let found = as_it_comes(&lazy(), &outcome(&[], &["it_starts", "it_ends"]));
        assert_eq!(found.len(), 1);
        assert!(found[0].wrong.contains("`it_starts` fails"), "{}", found[0]);
    }

    #[test]
    fn a_named_test_that_is_not_there_fails() {
        assert_eq!(as_it_comes(&lazy(), &outcome(&[], &["it_ends"])).len(), 1);
    }

    #[test]
    fn an_exercise_that_is_green_as_it_comes_fails() {
        assert_eq!(as_it_comes(&lazy(), &outcome(&["it_starts"], &[])).len(), 1);
    }

    #[test]
    fn a_warning_fails_in_both() {
        let warns = Outcome {
            warnings: vec!["unused variable: `client`".to_owned()],
            ..outcome(&["it_starts"], &["it_ends"])
        };
        assert_eq!(as_it_comes(&lazy(), &warns).len(), 1);
        assert_eq!(
            with_its_solution(
                &lazy(),
                &Outcome {
                    red: Vec::new(),
                    ..warns
                }
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_solution_with_a_red_test_or_without_any_fails() {
        let solved = outcome(&["it_starts", "it_ends"], &[]);
        assert_eq!(with_its_solution(&lazy(), &solved), []);
        let half = outcome(&["it_starts"], &["it_ends"]);
        assert_eq!(with_its_solution(&lazy(), &half).len(), 1);
        assert_eq!(with_its_solution(&lazy(), &outcome(&[], &[])).len(), 1);
    }
}
