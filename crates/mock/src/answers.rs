//! The texts of the answers: what a model would say, as far as templates, a lexicon and capital letters go.
//!
//! Everything here is pure: the same prompt, seed and model give the same words in every room.

use crate::dice::Dice;
use crate::settings::Service;
use crate::tokens;

/// One message of the conversation, its content reduced to text.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) text: String,
}

/// Which work the conversation asks for, and the text to do it on.
///
/// The instructions are the system message; without one they are the first line of the user's text, or what
/// stands before its first colon. Without a text to work on, "What is sentiment analysis?" is just a question.
pub(crate) fn task(messages: &[Message]) -> (Service, String) {
    let last = |roles: &[&str]| {
        messages
            .iter()
            .rev()
            .find(|m| roles.contains(&m.role.as_str()))
            .map(|m| m.text.trim())
    };
    let user = last(&["user"]).unwrap_or_default();
    if let Some(system) = last(&["system", "developer"])
        && let Some(service) = service_named_in(system)
    {
        return (service, user.to_owned());
    }
    let Some((instruction, text)) = user.split_once('\n').or_else(|| user.split_once(':')) else {
        return (Service::Chat, user.to_owned());
    };
    match service_named_in(instruction) {
        Some(service) if !text.trim().is_empty() => (service, text.trim().to_owned()),
        _ => (Service::Chat, user.to_owned()),
    }
}

fn service_named_in(instruction: &str) -> Option<Service> {
    let instruction = instruction.to_lowercase();
    let asks = [
        ("sentiment", Service::Sentiment),
        ("summar", Service::Summary),
        ("entit", Service::Entities),
    ];
    // The word that stands first wins, so that "summarize the text, keep its entities" asks for a summary.
    let found = asks
        .iter()
        .filter_map(|(word, service)| Some((instruction.find(word)?, *service)));
    found.min_by_key(|(at, _)| *at).map(|(_, service)| service)
}

/// The answer to a conversation whose task and text are known.
pub(crate) fn answer(
    dice: &mut Dice,
    service: Service,
    text: &str,
    messages: &[Message],
) -> String {
    match service {
        Service::Sentiment => sentiment(text).to_owned(),
        Service::Summary => summary(text),
        Service::Entities => {
            let names = entities(text);
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        }
        Service::Chat | Service::Embedding => match messages.last() {
            Some(result) if result.role == "tool" => {
                format!("The tool answered: {}", result.text.trim())
            }
            _ if text.to_lowercase().contains("story") => story(dice, text),
            _ => explanation(dice, text),
        },
    }
}

/// Exactly this many tokens on the subject of the prompt: for lessons and benches that count.
pub(crate) fn answer_of_length(dice: &mut Dice, prompt: &str, length: u32) -> String {
    let mut text = String::new();
    let mut have = 0;
    while have < length {
        let more = explanation(dice, prompt);
        if !text.is_empty() {
            text.push(' ');
        }
        have += tokens::count(&more);
        text.push_str(&more);
    }
    cut(&text, length).to_owned()
}

/// The first tokens of a text.
pub(crate) fn cut(text: &str, length: u32) -> &str {
    let end = tokens::split(text)
        .take(length as usize)
        .map(str::len)
        .sum();
    &text[..end]
}

/// What a prompt is about: "quantum computing" in "Explain quantum computing in simple terms".
pub(crate) fn subject(prompt: &str) -> String {
    const ASKING: [&str; 24] = [
        "please",
        "can you",
        "could you",
        "tell me",
        "write",
        "explain",
        "describe",
        "define",
        "discuss",
        "give me",
        "what is",
        "what are",
        "who is",
        "why is",
        "how does",
        "how do",
        "a short",
        "a",
        "an",
        "the",
        "story about",
        "story",
        "about",
        "of",
    ];
    const MANNER: [&str; 8] = [
        " in simple",
        " in one ",
        " in a ",
        " in two ",
        " in three ",
        " to a ",
        " like i",
        " for beginners",
    ];
    let mut rest = prompt.trim().lines().next().unwrap_or_default().trim();
    while let Some(word) = ASKING.iter().find(|word| starts_with_word(rest, word)) {
        rest = rest[word.len()..].trim_start();
    }
    let lower = rest.to_ascii_lowercase();
    let end = MANNER
        .iter()
        .filter_map(|manner| lower.find(manner))
        .filter(|at| *at > 0)
        .min();
    rest = rest[..end.unwrap_or(rest.len())]
        .trim_end_matches(|c: char| !c.is_alphanumeric() && c != ')' && c != '"');
    // A long prompt is no subject; its beginning is.
    let words: Vec<&str> = rest.split_whitespace().take(8).collect();
    if words.is_empty() {
        "this".to_owned()
    } else {
        words.join(" ")
    }
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
        && text[word.len()..]
            .chars()
            .next()
            .is_none_or(|next| !next.is_alphanumeric())
}

fn explanation(dice: &mut Dice, prompt: &str) -> String {
    const OPENINGS: [&str; 5] = [
        "At its heart, {} is one simple idea, applied again and again with care.",
        "The easiest way into {} is to ask which problem it was made to solve.",
        "Think of {} as many small parts that together do what none of them could do alone.",
        "Most of what is said about {} becomes clear once you have seen one small example.",
        "In short, {} is a way to get a large result out of small, well understood steps.",
    ];
    const MIDDLES: [&str; 7] = [
        "Start with the smallest case that still works, and write down what goes in and what comes out.",
        "Each part has one job, and the rules between the parts are few enough to remember.",
        "The hard part is rarely the idea itself; it is knowing where it stops being true.",
        "Change one thing at a time, and you can see what each of them is for.",
        "What looks like magic from far away turns out to be ordinary work, done in the right order.",
        "People first met it as a curiosity, and only later found out how much depends on it.",
        "A good picture helps: draw the parts, then the lines between them, then cross out what you don't need.",
    ];
    const CLOSINGS: [&str; 4] = [
        "If you remember one thing about {}, remember that.",
        "That is why {} is worth an afternoon of your time.",
        "The rest of {} is practice.",
        "From there, the details of {} follow one by one.",
    ];
    let subject = subject(prompt);
    let opening = capitalised(&dice.pick(&OPENINGS).replace("{}", &subject));
    if prompt.to_lowercase().contains("one sentence") {
        return opening;
    }
    let first = dice.roll() as usize % MIDDLES.len();
    let step = 1 + dice.roll() as usize % (MIDDLES.len() - 1);
    let second = (first + step) % MIDDLES.len();
    let closing = dice.pick(&CLOSINGS).replace("{}", &subject);
    format!("{opening} {} {} {closing}", MIDDLES[first], MIDDLES[second])
}

fn story(dice: &mut Dice, prompt: &str) -> String {
    const HEROES: [&str; 5] = ["Mira", "Tomas", "Ada", "Ilse", "Noor"];
    const TRADES: [&str; 5] = [
        "a clockmaker",
        "a lighthouse keeper",
        "a baker",
        "a mapmaker",
        "a young engineer",
    ];
    const PLACES: [&str; 4] = [
        "by the sea",
        "high in the mountains",
        "at the edge of a forest",
        "beside a slow river",
    ];
    const FINDS: [&str; 5] = [
        "a letter without a name",
        "a key that fitted no door",
        "a machine that hummed at night",
        "a map of a place nobody knew",
        "a bird that could count to ten",
    ];
    const TURNS: [&str; 4] = [
        "Everybody said it meant nothing, and for a while that was easy to believe.",
        "The more it was looked at, the stranger it became.",
        "Three neighbours offered to buy it, which is how it became interesting.",
        "Nothing happened for a week, and then everything happened in one evening.",
    ];
    const ENDS: [&str; 4] = [
        "In the end it was given back, and that turned out to be the whole secret.",
        "It had been waiting for somebody who would simply ask.",
        "By morning the town had a new story to tell, and this is it.",
        "Some questions, it is said there ever since, are better than their answers.",
    ];
    let (hero, trade, place) = (dice.pick(&HEROES), dice.pick(&TRADES), dice.pick(&PLACES));
    let find = dice.pick(&FINDS);
    let (turn, end) = (dice.pick(&TURNS), dice.pick(&ENDS));
    let about = match subject(prompt).as_str() {
        "this" => String::new(),
        subject => format!("It has to do with {subject}, as all good stories do. "),
    };
    format!(
        "Once, in a town {place}, there lived {trade} named {hero}. One day {hero} found {find}. {about}{turn} {end}"
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// `positive`, `negative` or `neutral`, by counting words of a small lexicon.
pub(crate) fn sentiment(text: &str) -> &'static str {
    const GOOD: &str = "amazing awesome beautiful best better brilliant charming clear delicious delight delighted \
        delightful easy elegant enjoy enjoyed excellent excited exciting fantastic fast fun glad good great \
        happy helpful impressive incredible joy kind like liked love loved lovely nice perfect pleasant \
        pleased reliable remarkable safe satisfied success successful superb thank thanks useful win \
        wonderful works";
    const BAD: &str = "angry annoyed annoying awful bad boring broke broken bug bugs complaint confusing crash crashed \
        crashes cruel dangerous difficult dirty disappointed disappointing disaster fail failed fails \
        failure fear frustrated frustrating hard hate hated horrible hurt late lost mess pain painful poor \
        problem problems sad slow terrible ugly unhappy unreliable useless waste worse worst wrong";
    const NOT: &str = "not no never hardly isn wasn doesn didn don without";
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| *word != "t")
        .collect();
    let mut score = 0;
    for (at, word) in words.iter().enumerate() {
        let value = i32::from(has(GOOD, word)) - i32::from(has(BAD, word));
        // A "not" turns the next two words around, so that "not a good day" counts as bad.
        let turned = words[at.saturating_sub(2)..at]
            .iter()
            .any(|before| has(NOT, before));
        score += if turned { -value } else { value };
    }
    match score {
        1.. => "positive",
        0 => "neutral",
        _ => "negative",
    }
}

fn has(list: &str, word: &str) -> bool {
    list.split(' ').any(|one| one == word)
}

/// The leading sentence, shortened to 25 words.
pub(crate) fn summary(text: &str) -> String {
    const WORDS: usize = 25;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = sentences(&text).next().unwrap_or_default();
    let words: Vec<&str> = sentence.split(' ').collect();
    if words.len() <= WORDS {
        return sentence.to_owned();
    }
    let kept = words[..WORDS].join(" ");
    format!(
        "{}...",
        kept.trim_end_matches(|c: char| !c.is_alphanumeric())
    )
}

/// A sentence ends with its sign before a space; "3.5" and "Node.js" go on.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ")
        .flat_map(|part| part.split_inclusive("! "))
        .flat_map(|part| part.split_inclusive("? "))
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

/// The names in the text, each once, in order: runs of capitalised words.
///
/// The first word of a sentence is capitalised anyway, so there the common words are left out.
pub(crate) fn entities(text: &str) -> Vec<String> {
    const COMMON: &str = "a after all an and are as at before both but by can did do every everybody for from had has have he \
        her here his how i if in is it its last many most my new no not nothing now of on one or our people \
        she since so some that the their then there these they this those to today two was we were what when \
        where which while who why will with yesterday you your";
    let mut names: Vec<String> = Vec::new();
    let mut run: Vec<&str> = Vec::new();
    let mut end = |run: &mut Vec<&str>| {
        let name = std::mem::take(run).join(" ");
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    };
    for raw in text.split_whitespace() {
        let word = raw.trim_matches(|c: char| !c.is_alphanumeric());
        let word = word
            .strip_suffix("'s")
            .or_else(|| word.strip_suffix("\u{2019}s"))
            .unwrap_or(word);
        let is_name = word.starts_with(char::is_uppercase) && !has(COMMON, &word.to_lowercase());
        if !is_name || raw.starts_with(['(', '"', '\u{201c}']) {
            end(&mut run);
        }
        if is_name {
            run.push(word);
            if raw.ends_with([',', '.', ';', ':', '!', '?', ')', '"', '\u{201d}'])
                || raw.contains("'s")
            {
                end(&mut run);
            }
        }
    }
    end(&mut run);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(role: &str, text: &str) -> Message {
        Message {
            role: role.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_task_is_read_from_the_instructions_never_from_the_text() {
        let of = |messages: &[Message]| task(messages);
        let system = say("system", "Classify the sentiment of the text.");
        let text = "A summary of all entities.";
        assert_eq!(
            of(&[system, say("user", text)]),
            (Service::Sentiment, text.to_owned())
        );
        assert_eq!(
            of(&[say("user", "Summarize:\nRust is fast.")]),
            (Service::Summary, "Rust is fast.".to_owned())
        );
        assert_eq!(
            of(&[say("user", "List the entities: Ada met Bob.")]).0,
            Service::Entities
        );
        assert_eq!(
            of(&[say("user", "What is sentiment analysis?")]).0,
            Service::Chat
        );
        assert_eq!(of(&[say("user", "Explain: sentiment")]).0, Service::Chat);
        assert_eq!(of(&[]).0, Service::Chat);
    }

    #[test]
    fn the_sentiment_comes_from_the_words_of_any_text() {
        assert_eq!(
            sentiment("I love this product, it works and is easy to use."),
            "positive"
        );
        assert_eq!(
            sentiment("The update is terrible: it crashes and I lost my work."),
            "negative"
        );
        assert_eq!(sentiment("The meeting is on Tuesday."), "neutral");
        assert_eq!(sentiment("This was not a good day."), "negative");
        assert_eq!(sentiment("It isn't bad"), "positive");
        assert_eq!(sentiment(""), "neutral");
    }

    #[test]
    fn a_summary_is_the_leading_sentence_made_short() {
        assert_eq!(
            summary("Rust 1.95 is out.  It is\nfast. More."),
            "Rust 1.95 is out."
        );
        assert_eq!(summary("Really? Yes!"), "Really?");
        let long = summary(&"word, ".repeat(80));
        assert!(
            long.ends_with("word...") && long.split(' ').count() == 25,
            "{long}"
        );
        assert_eq!(summary(""), "");
    }

    #[test]
    fn entities_are_the_names_in_the_text() {
        let names = entities(
            "The engineer Ada Lovelace met Charles Babbage in London. It was Babbage's idea, said Ada Lovelace.",
        );
        assert_eq!(
            names,
            ["Ada Lovelace", "Charles Babbage", "London", "Babbage"]
        );
        assert_eq!(entities("nothing to see here."), Vec::<String>::new());
        assert_eq!(
            entities("Paris, Rome and \u{d6}rebro"),
            ["Paris", "Rome", "\u{d6}rebro"]
        );
    }

    #[test]
    fn the_subject_is_what_remains_of_the_prompt() {
        for (prompt, expected) in [
            (
                "Explain quantum computing in simple terms",
                "quantum computing",
            ),
            ("What is AI?", "AI"),
            ("Write a short story", "this"),
            ("Write a short story about a robot.", "robot"),
            ("Explain AI in one sentence", "AI"),
            ("  ", "this"),
            (
                "\u{89e3}\u{91ca}\u{91cf}\u{5b50}",
                "\u{89e3}\u{91ca}\u{91cf}\u{5b50}",
            ),
        ] {
            assert_eq!(subject(prompt), expected, "{prompt}");
        }
    }

    #[test]
    fn answers_of_a_length_have_exactly_that_length() {
        for length in [1, 2, 50, 100, 1000] {
            let text = answer_of_length(&mut Dice::new(1, &["x"]), "Explain tides", length);
            assert_eq!(tokens::count(&text), length);
        }
    }
}
