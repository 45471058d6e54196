//! What must hold: the names of the tests say it, their messages say where to look.

use ai_core::{ChatRequest, Message, Tool};
use ex_06_01::{Key, Scope, chat_key};
use serde_json::{Value, json};

fn scope() -> Scope {
    Scope {
        base_url: "https://api.openai.com/v1".to_owned(),
        tenant: "blue".to_owned(),
    }
}

fn request() -> ChatRequest {
    ChatRequest::new("gpt-4o-mini", "What is a token?")
}

/// The request, changed.
fn with(change: impl FnOnce(&mut ChatRequest)) -> ChatRequest {
    let mut request = request();
    change(&mut request);
    request
}

#[track_caller]
fn differ(one: Key, other: Key, why: impl std::fmt::Display) {
    assert!(one != other, "both have the key {one}: {why}");
}

#[test]
fn the_same_request_has_the_same_key() {
    assert_eq!(
        chat_key(&request(), &scope()),
        chat_key(&request(), &scope())
    );
}

#[test]
fn the_order_in_which_fields_were_written_does_not_matter() {
    let key = |fields: &[(&str, Value)]| {
        let extra = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()));
        chat_key(&with(|it| it.extra = extra.collect()), &scope())
    };
    let (seed, user) = (("seed", json!(7)), ("user", json!("ada")));
    assert_eq!(key(&[seed.clone(), user.clone()]), key(&[user, seed]));
}

#[test]
fn a_number_is_the_same_however_it_was_written() {
    let key = |temperature: Value| Key::of("chat", &scope(), json!({"temperature": temperature}));
    assert!(
        key(json!(1)) == key(json!(1.0)),
        "1 and 1.0 ask the same: does `canonical::write` make the text?"
    );
}

#[test]
fn whatever_can_change_the_answer_changes_the_key() {
    let tool = Tool::function("weather", "Says how it is", json!({"type": "object"}));
    let changes = [
        ("the model", with(|it| it.model = "gpt-4o".to_owned())),
        (
            "the words",
            with(|it| it.messages = vec![Message::user("What is a tokenizer?")]),
        ),
        (
            "who says them",
            with(|it| it.messages = vec![Message::system("What is a token?")]),
        ),
        ("an instruction before them", request().system("Be brief")),
        ("the temperature", with(|it| it.temperature = Some(0.7))),
        ("how many answers", with(|it| it.n = Some(2))),
        ("the longest answer", with(|it| it.max_tokens = Some(10))),
        ("where to stop", with(|it| it.stop = vec!["\n".to_owned()])),
        ("the tools", with(|it| it.tools = vec![tool])),
        (
            "the form",
            with(|it| it.response_format = Some(json!({"type": "json_object"}))),
        ),
        (
            "a field that nobody here knows",
            with(|it| _ = it.extra.insert("seed".to_owned(), json!(7))),
        ),
    ];
    let plain = chat_key(&request(), &scope());
    for (what, changed) in changes {
        differ(
            chat_key(&changed, &scope()),
            plain,
            format_args!(
                "{what} is not in it, and who changes that gets the answer to another question"
            ),
        );
    }
}

#[test]
fn two_large_seeds_that_differ_by_one_are_two_keys() {
    let seed = |seed: u64| with(|it| _ = it.extra.insert("seed".to_owned(), json!(seed)));
    let (one, two) = (seed(9_007_199_254_740_992), seed(9_007_199_254_740_993));
    differ(
        chat_key(&one, &scope()),
        chat_key(&two, &scope()),
        "as doubles they are one number: `canonical::write` keeps them apart",
    );
}

#[test]
fn another_service_or_another_tenant_is_another_key() {
    let key = |base_url: &str, tenant: &str| {
        let (base_url, tenant) = (base_url.to_owned(), tenant.to_owned());
        chat_key(&request(), &Scope { base_url, tenant })
    };
    let plain = key("http://a", "blue");
    differ(key("http://b", "blue"), plain, "the service is not in it");
    differ(
        key("http://a", "red"),
        plain,
        "red would be shown what was answered to blue",
    );
}

#[test]
fn parts_that_run_together_are_not_the_same() {
    let key = |base_url: &str, tenant: &str| {
        let (base_url, tenant) = (base_url.to_owned(), tenant.to_owned());
        chat_key(&request(), &Scope { base_url, tenant })
    };
    differ(
        key("http://a/b", "lue"),
        key("http://a/", "blue"),
        "texts put one behind the other don't show where one ends: give each a field of its own",
    );
}

#[test]
fn a_streamed_answer_is_found_by_another_key_than_a_plain_one() {
    let body = json!({"model": "gpt-4o-mini"});
    differ(
        Key::of("chat", &scope(), body.clone()),
        Key::of("stream", &scope(), body),
        "a replay needs the events: the kind belongs into the key",
    );
}

#[test]
fn a_key_has_the_form_of_the_guides_and_tells_nothing() {
    let key = chat_key(&request(), &scope()).to_string();
    let digits = key
        .strip_prefix("ai_cache:")
        .expect("all keys begin like this");
    assert_eq!(digits.len(), 64, "SHA-256 has 32 bytes: {key}");
    assert!(digits != "0".repeat(64), "this is no hash: {key}");
}
