//! Rust text: what of it is code. The compiler's own lexer says so, for comments nest and strings
//! hold `//`.
//!
//! All functions put spaces where they take something away, so places and line numbers hold.

use std::ops::Range;

use ra_ap_rustc_lexer::{LiteralKind, TokenKind, tokenize};

/// The text without its comments, doc comments included.
pub fn without_comments(source: &str) -> String {
    blank(source, tokens(source).filter(|(kind, _)| is_comment(*kind)))
}

/// The text without comments and without what is quoted: only what the compiler acts on.
pub fn bare(source: &str) -> String {
    blank(
        source,
        tokens(source).filter(|(kind, _)| is_comment(*kind) || is_quoted(*kind)),
    )
}

/// The text without the items that stand under `#[cfg(test)]`.
pub fn without_tests(source: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let bare = bare(source);
    let mut tests = Vec::new();
    let mut at = 0;
    while let Some(found) = bare[at..].find(TEST) {
        let start = at + found;
        at = item_end(&bare, start + TEST.len());
        tests.push((TokenKind::Unknown, start..at));
    }
    blank(source, tests.into_iter())
}

/// The lines that are not blank. Trailing spaces, where a comment was taken away, go too.
pub fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect()
}

/// The number of the first line that holds `word`, counted from 1. See [`position`].
pub fn line_of(text: &str, word: &str) -> Option<usize> {
    position(text, word).map(|at| text[..at].matches('\n').count() + 1)
}

/// Where `word` stands as a word of its own: `rand::` is not in `operand::x`.
pub fn position(text: &str, word: &str) -> Option<usize> {
    let of_word = |letter: char| letter == '_' || letter.is_alphanumeric();
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        let joined_before = word.starts_with(of_word) && text[..at].ends_with(of_word);
        let joined_after = word.ends_with(of_word) && text[at + word.len()..].starts_with(of_word);
        !joined_before && !joined_after
    })
}

fn tokens(source: &str) -> impl Iterator<Item = (TokenKind, Range<usize>)> {
    tokenize(source).scan(0, |at, token| {
        let start = *at;
        *at += token.len as usize;
        Some((token.kind, start..*at))
    })
}

fn is_comment(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
    )
}

fn is_quoted(kind: TokenKind) -> bool {
    use LiteralKind::{Float, Int};
    matches!(kind, TokenKind::Literal { kind, .. } if !matches!(kind, Int { .. } | Float { .. }))
}

/// Where the item ends that begins at `at`: at its semicolon or at its closing brace.
fn item_end(bare: &str, at: usize) -> usize {
    let mut depth = 0;
    for (place, letter) in bare[at..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(letter, ';' | '}') {
            return at + place + 1;
        }
    }
    bare.len()
}

/// Puts a space for every byte of the ranges, but keeps the line ends.
fn blank(source: &str, gone: impl Iterator<Item = (TokenKind, Range<usize>)>) -> String {
    let mut text = String::with_capacity(source.len());
    for (_, range) in gone {
        text.push_str(&source[text.len()..range.start]);
        text.extend(
            source[range]
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
        );
    }
    text.push_str(&source[text.len()..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! Intro
fn f() { // why
    /* a /* nested */ one */ g(\"// no comment\", '{');
}

#[cfg(test)]
mod tests {
    fn t() { h(\"}\") }
}
fn after() {}
";

    #[test]
    fn comments_go_and_strings_stay() {
        let text = without_comments(SOURCE);
        assert!(text.contains("g(\"// no comment\", '{');"), "{text}");
        assert!(
            !text.contains("why") && !text.contains("nested") && !text.contains("Intro"),
            "{text}"
        );
    }

    #[test]
    fn what_is_quoted_is_not_in_the_bare_text() {
        let text = bare(SOURCE);
        assert!(
            !text.contains("no comment") && !text.contains('"'),
            "{text}"
        );
    }

    #[test]
    fn tests_go_up_to_their_own_closing_brace() {
        let text = without_tests(SOURCE);
        assert!(
            !text.contains("fn t()") && text.contains("fn after()"),
            "{text}"
        );
    }

    #[test]
    fn places_hold() {
        let long = "é /* ü\n */ x // é\n";
        for text in [without_comments(long), bare(long), without_tests(long)] {
            assert_eq!((text.len(), text.find('x')), (long.len(), long.find('x')));
            assert_eq!(text.lines().count(), 2);
        }
    }

    #[test]
    fn only_lines_with_code_count() {
        assert_eq!(lines(&without_comments(&without_tests(SOURCE))).len(), 4);
    }

    #[test]
    fn a_word_is_found_only_on_its_own() {
        assert_eq!(line_of("operand::x();\nrand::x()", "rand::"), Some(2));
        assert_eq!(line_of("reqwests", "reqwest"), None);
    }
}
