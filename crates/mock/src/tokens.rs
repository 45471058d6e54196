//! The mock's tokenizer: a token is a word or one other character, with the spaces before it.
//!
//! Words are cut after twelve letters. Real tokenizers differ from model to model; what a lesson needs
//! is one rule that the plain reply, the stream, the usage and the log all count by.

/// The first token of the text; empty only if the text is.
pub(crate) fn first(text: &str) -> &str {
    const LONGEST_WORD: usize = 12;
    let mut letters = 0;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            letters += 1;
            if letters > LONGEST_WORD {
                return &text[..at];
            }
        } else if letters > 0 {
            return &text[..at];
        } else if !c.is_whitespace() {
            return &text[..at + c.len_utf8()];
        }
    }
    text
}

/// The tokens of the text, in order; together they are the text.
pub(crate) fn split(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let token = first(text);
        text = &text[token.len()..];
        (!token.is_empty()).then_some(token)
    })
}

/// How many tokens the text has.
pub(crate) fn count(text: &str) -> u32 {
    split(text).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_or_a_sign_with_the_space_before_it() {
        let tokens: Vec<&str> = split("Hello, wide  world!\n\u{e9}t\u{e9} ").collect();
        assert_eq!(
            tokens,
            [
                "Hello",
                ",",
                " wide",
                "  world",
                "!",
                "\n\u{e9}t\u{e9}",
                " "
            ]
        );
        assert_eq!(count("internationalization"), 2);
        assert_eq!(count(""), 0);
    }
}
