//! What the answers of the services mean: pure, and shared by both versions.
//!
//! A model is free to answer "Sentiment: **Positive**." where one word was asked for. What is read
//! here is forgiving about the form, and never guesses at the meaning.

use ai_core::Error;

use crate::services::Sentiment;

/// Reads a sentiment: the one that is named, with nothing beside it that could mean something.
///
/// Not any answer that has the word in it: "It isn't positive", "hardly positive" and "0 % positive"
/// have it, too. There is no complete list of the ways to deny something, but a short one of the words
/// that deny nothing.
pub(crate) fn read_sentiment(answer: &str) -> Result<Sentiment, Error> {
    let lower = answer.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric());
    let telling: Vec<_> = words.filter(|word| !FILLERS.contains(word)).collect();
    match telling[..] {
        ["positive"] => Ok(Sentiment::Positive),
        ["negative"] => Ok(Sentiment::Negative),
        ["neutral"] => Ok(Sentiment::Neutral),
        _ => Err(senseless("it does not name one sentiment alone", answer)),
    }
}

/// What may stand around the sentiment. The empty one is what lies between two signs in a row, and the
/// "s" is that of "it's".
const FILLERS: [&str; 13] = [
    "",
    "s",
    "a",
    "answer",
    "is",
    "it",
    "of",
    "overall",
    "sentiment",
    "text",
    "the",
    "this",
    "user",
];

/// Reads a summary, which may say anything but nothing.
pub(crate) fn read_summary(answer: &str) -> Result<String, Error> {
    match answer.trim() {
        "" => Err(senseless("it is empty", answer)),
        summary => Ok(summary.to_owned()),
    }
}

/// Reads a list of entities: names between commas or in lines, each kept once.
pub(crate) fn read_entities(answer: &str) -> Result<Vec<String>, Error> {
    let list = match answer.split_once(':') {
        Some((heading, list)) if heading.to_lowercase().contains("entit") => list,
        _ => answer,
    };
    let mut names: Vec<String> = Vec::new();
    for name in list.split([',', ';', '\n']).map(bare_name) {
        if name.split_whitespace().count() > MOST_WORDS {
            return Err(senseless("it holds a sentence where a name is due", answer));
        }
        if !is_nothing(name) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The longest name, in words. What is longer is prose.
const MOST_WORDS: usize = 8;

/// Takes off what makes it an item of a list: `- "Python".` and `2. Python` are both Python.
fn bare_name(item: &str) -> &str {
    let item = item.trim_start_matches(|letter: char| "-*•[{ \t\r".contains(letter));
    let digits = item.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let numbered = [". ", ") "]
        .iter()
        .find_map(|mark| digits.strip_prefix(mark));
    let item = numbered
        .filter(|_| digits.len() < item.len())
        .unwrap_or(item);
    let name = item.trim_matches(|letter: char| "\"'`*[]{} \t\r".contains(letter));
    match name.strip_suffix('.') {
        // The dot of "D.C." belongs to the name, that at the end of a sentence does not.
        Some(rest) if !rest.contains('.') => rest,
        _ => name,
    }
}

fn is_nothing(name: &str) -> bool {
    let name = name.to_lowercase();
    matches!(&*name, "" | "none" | "none found" | "n/a")
        || name.starts_with("no ") && name.contains("entit")
}

fn senseless(reason: &str, answer: &str) -> Error {
    Error::Malformed {
        reason: reason.to_owned(),
        text: answer.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentiment_is_read_in_whatever_dress_it_comes() {
        for (answer, sentiment) in [
            ("positive", Sentiment::Positive),
            ("Sentiment: **Positive**.\n", Sentiment::Positive),
            ("The text is NEGATIVE", Sentiment::Negative),
            ("{\"sentiment\": \"neutral\"}", Sentiment::Neutral),
            ("Overall, the user's text is positive.", Sentiment::Positive),
            (
                "The sentiment of this text is: \"negative\"",
                Sentiment::Negative,
            ),
            ("It's neutral", Sentiment::Neutral),
        ] {
            assert_eq!(read_sentiment(answer), Ok(sentiment), "{answer:?}");
        }
    }

    #[test]
    fn a_sentiment_is_never_guessed() {
        for answer in [
            "",
            "Python",
            "positive or negative",
            "not positive",
            "nonpositive",
            "non-positive",
            "It isn't positive",
            "It isn’t positive.",
            "never positive",
            "hardly positive",
            "0% positive",
            "far from negative",
            "I can't tell: positive?",
            "positive positive",
            "the sentiment of the text",
            "mixed",
        ] {
            let error = read_sentiment(answer).expect_err(answer);
            assert_eq!(error.kind(), "malformed", "{answer:?}");
        }
    }

    #[test]
    fn entities_are_read_in_whatever_dress_they_come() {
        let two = ["Python", "Guido van Rossum"];
        for answer in [
            "Python, Guido van Rossum",
            "Python,Guido van Rossum.",
            "Entities: Python; Guido van Rossum",
            "Here are the named entities:\n- Python\n- Guido van Rossum\n",
            "1. Python\r\n2) Guido van Rossum",
            "* **Python**\n* **Guido van Rossum**",
            "[\"Python\", \"Guido van Rossum\"]",
            "{\"entities\": [\"Python\", \"Guido van Rossum\"]}",
            "Python, Python, Guido van Rossum, Python",
        ] {
            assert_eq!(
                read_entities(answer),
                Ok(two.map(str::to_owned).to_vec()),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn a_name_keeps_what_belongs_to_it() {
        for name in [
            "Washington D.C.",
            "3Com",
            "Claude 3.5",
            "42. Straße",
            "O'Neill",
            "C++",
            "Re: Zero",
        ] {
            let expected = name.trim_start_matches("42. ");
            assert_eq!(read_entities(name), Ok(vec![expected.to_owned()]));
        }
    }

    #[test]
    fn no_entities_is_an_empty_list_and_prose_is_an_error() {
        for answer in [
            "",
            "none",
            "None.",
            "N/A",
            "No named entities.",
            "Entities: none",
        ] {
            assert_eq!(read_entities(answer), Ok(vec![]), "{answer:?}");
        }
        let prose = "I could not find any people or places or products in what you sent me";
        assert_eq!(
            read_entities(prose).expect_err("no list").kind(),
            "malformed"
        );
    }

    #[test]
    fn an_empty_summary_is_an_error() {
        assert_eq!(read_summary(" It is fast.\n"), Ok("It is fast.".to_owned()));
        assert_eq!(
            read_summary(" \n").expect_err("it is empty").kind(),
            "malformed"
        );
    }
}
