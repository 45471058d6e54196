//! What must hold: the names of the tests say it, their messages say where to look.

use std::time::Duration;

use ai_core::{ChatResponse, Error};
use ex_01_01::decode;
use http::{HeaderMap, HeaderValue};

const ANSWER: &[u8] = br#"{"id":"1","model":"gpt-4o-mini","choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;
const PAGE: &[u8] = b"<html><head><title>Bad Gateway</title></head></html>";

fn read(status: u16, body: &[u8]) -> Result<ChatResponse, Error> {
    decode(status, &HeaderMap::new(), body)
}

/// The kind of error that it is, or the text where it is none.
fn kind(status: u16, body: &[u8]) -> String {
    match read(status, body) {
        Ok(answer) => format!("the answer {:?}", answer.text()),
        Err(error) => error.kind().to_owned(),
    }
}

#[test]
fn a_200_with_an_answer_is_that_answer() {
    let answer = read(200, ANSWER).expect("the body is an answer, and the status says so");
    assert_eq!(answer.text(), "Hi");
}

#[test]
fn a_201_is_as_good_as_a_200() {
    assert_eq!(
        kind(201, ANSWER),
        "the answer \"Hi\"",
        "success is 200 to 299"
    );
}

#[test]
fn a_429_is_a_rate_limit_though_its_body_is_a_web_page() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("1"));
    let error = decode::<ChatResponse>(429, &headers, PAGE).expect_err("429 is no success");
    assert!(
        matches!(error, Error::RateLimited(_)),
        "{error:?}: whoever reads the body first finds no JSON, and does not see that it may try again"
    );
    assert_eq!(
        error.retry_after(),
        Some(Duration::from_secs(1)),
        "the header is lost: does `from_response` get the headers?"
    );
}

#[test]
fn a_502_from_a_proxy_is_worth_another_try() {
    let error = read(502, PAGE).expect_err("502 is no success");
    assert!(
        error.is_retryable(),
        "{error:?}: its status says what it is, its body does not"
    );
}

#[test]
fn a_500_is_no_answer_even_if_its_body_looks_like_one() {
    assert_eq!(kind(500, ANSWER), "status", "the status is looked at first");
}

#[test]
fn a_200_with_an_error_object_is_the_servers_error() {
    let body = br#"{"error":{"message":"the engine is overloaded","code":"overloaded"}}"#;
    assert_eq!(
        kind(200, body),
        "server",
        "`in_place_of_an_answer` knows it"
    );
}

#[test]
fn a_200_with_a_web_page_is_malformed_and_shows_the_page() {
    let error = read(200, PAGE).expect_err("a page is no answer");
    let Error::Malformed { text, .. } = &error else {
        panic!("{error:?}: `in_place_of_an_answer` knows it");
    };
    assert!(
        text.contains("Bad Gateway"),
        "who looks for the cause needs the page: {text:?}"
    );
}

#[test]
fn bytes_that_are_no_utf8_do_not_cost_the_rest_of_the_text() {
    let garbled = |byte: &u8| if *byte == b'H' { 0xFF } else { *byte };
    let body: Vec<u8> = ANSWER.iter().map(garbled).collect();
    let answer = read(200, &body).expect("`text` puts U+FFFD for the byte that is wrong");
    assert_eq!(answer.text(), "\u{FFFD}i");
}
