//! The chat page as a reader uses it: in a real Chromium, by keyboard and mouse, at phone width, by
//! ear. `cargo xtask page` runs this, and installs the browser where it is missing.
//!
//! The tests hold the model's tokens at a gate, so nothing here depends on how fast anything is.
#![cfg(unix)]

use std::net::SocketAddr;
use std::time::Duration;

use ai_core::{AsyncClient, CallOptions, ChatRequest, Config, DEFAULT_MODEL, Event, SyncClient};
use ai_mock::{Gate, Mock, Script};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::chromium::{Chromium, Tab};

mod chromium;

#[path = "../examples/chat.rs"]
#[allow(dead_code)]
mod chat;

const PROMPT: &str = "Write a short story";

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn tokens_appear_one_by_one_and_the_focus_stays_where_one_writes() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("one-by-one");
    let tab = chromium.open(&relay.url);
    let pieces = pieces(PROMPT);

    // The field has the focus from the start.
    tab.write(PROMPT);
    tab.press("Enter");
    for n in 0..8 {
        relay.gate.release(1);
        shows(&tab, &pieces[..=n].concat());
        assert_eq!(
            tab.value("document.querySelector('.answer').ariaBusy"),
            "true"
        );
    }
    assert_eq!(tab.value("document.activeElement.id"), "prompt");
    assert_eq!(tab.value("form.prompt.value"), "");
    assert_eq!(
        tab.value("[form.send.hidden, form.stop.hidden]"),
        json!([true, false])
    );
    relay.gate.open();
    ended(&tab);

    assert_eq!(tab.value(ANSWER), pieces.concat());
    let note = tab.value(NOTE);
    let note = note.as_str().expect("it is text");
    assert!(
        note.starts_with("first token after ") && note.ends_with("complete"),
        "{note}"
    );
    assert_eq!(
        tab.value("document.querySelector('.note.wrong')"),
        json!(null)
    );
    assert_eq!(tab.value("document.title"), format!("{PROMPT} · Chat"));
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn escape_and_the_button_stop_the_generation_at_the_model() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("stop");
    for (by, tokens) in [("Escape", 3), ("#stop", 5)] {
        let seen = relay.mock.log().len();
        let tab = chromium.open(&relay.url);
        let text = pieces(PROMPT)[..tokens].concat();
        tab.write(PROMPT);
        tab.press("Enter");
        relay.gate.release(tokens);
        shows(&tab, &text);

        match by {
            "Escape" => tab.press(by),
            button => tab.click(button),
        }
        ended(&tab);

        let log = relay.mock.wait_for(LONG, |log| {
            log.len() > seen && log[seen].left_at_token.is_some()
        });
        let log = log.expect("the model's server sees it");
        assert_eq!(log[seen].left_at_token, Some(tokens as u32), "{by}");
        assert_eq!(tab.value(ANSWER), text);
        assert_eq!(tab.value(NOTE), "Stopped.");
        // The button has gone, and the focus not with it.
        assert_eq!(tab.value("document.activeElement.id"), "prompt");
        assert_eq!(
            tab.value("[form.send.hidden, form.stop.hidden]"),
            json!([false, true])
        );
    }
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn what_went_wrong_is_said_in_words() {
    let chromium = Chromium::start("errors");
    let cases = [
        (
            Script::Unauthorized,
            0,
            "No answer: the server refused: Incorrect API key provided",
        ),
        (
            Script::ErrorMidStream,
            2,
            "The answer is not whole: the server failed: ",
        ),
        (
            Script::Truncated,
            2,
            "The answer is not whole: the stream ended before the model had finished",
        ),
        (
            Script::ResetMidChunk,
            2,
            "The answer is not whole: the connection broke in mid-answer",
        ),
        (
            Script::Length,
            3,
            "The answer is not whole: cut at the token limit",
        ),
    ];
    for (script, least, words) in cases {
        let relay = Relay::start(script);
        relay.gate.open();
        let tab = chromium.open(&relay.url);
        tab.write(PROMPT);
        tab.press("Enter");
        ended(&tab);

        let note = tab.value("document.querySelector('.note.wrong').textContent");
        let note = note.as_str().expect("it is text");
        assert!(note.starts_with(words), "{script}: {note}");
        // What had come is kept, and the note is spoken after it.
        let text = tab.value(ANSWER);
        let text = text.as_str().expect("it is text");
        let pieces = pieces(PROMPT);
        assert!(
            text.len() >= pieces[..least].concat().len(),
            "{script}: {text}"
        );
        assert!(pieces.concat().starts_with(text), "{script}: {text}");
        assert_eq!(tab.value("spoken.textContent"), format!("{text} {note}"));
        // A question that got no answer at all can be sent again.
        let back = if text.is_empty() { PROMPT } else { "" };
        assert_eq!(tab.value("form.prompt.value"), back, "{script}");
    }
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn a_relay_that_is_gone_is_said_in_words() {
    let chromium = Chromium::start("gone");
    let mut relay = Relay::start(Script::Normal);
    let tab = chromium.open(&relay.url);
    tab.write(PROMPT);
    tab.press("Enter");
    relay.gate.release(2);
    shows(&tab, &pieces(PROMPT)[..2].concat());

    // In mid-answer, then before one.
    relay.end();
    for kind in ["The answer is not whole", "No answer"] {
        ended(&tab);
        let note = tab.value(NOTE);
        assert_eq!(
            note,
            format!("{kind}: the connection to the relay broke: is its program still running?")
        );
        tab.write("Hello?");
        tab.press("Enter");
    }
}

#[test]
fn tabs_do_not_mix_and_each_keeps_its_conversation() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("tabs");
    let prompts = [
        "Tell a story about a lighthouse",
        "Tell a story about a violin",
    ];
    let tabs = prompts.map(|prompt| {
        let seen = relay.mock.log().len();
        let tab = chromium.open(&relay.url);
        tab.write(prompt);
        tab.press("Enter");
        let asked = relay.mock.wait_for(LONG, |log| log.len() > seen);
        asked.expect("it asks the model");
        tab
    });
    let texts = prompts.map(pieces);
    for n in 0..4 {
        // The gate is fair: both have waited, so each gets one.
        relay.gate.release(2);
        for (tab, text) in tabs.iter().zip(&texts) {
            shows(tab, &text[..=n].concat());
        }
    }
    tabs[0].press("Escape");
    ended(&tabs[0]);
    relay.gate.open();
    ended(&tabs[1]);
    assert_eq!(tabs[0].value(ANSWER), texts[0][..4].concat());
    assert_eq!(tabs[1].value(ANSWER), texts[1].concat());

    // It outlives a reload, and goes on with all that was said.
    tabs[1].reload();
    assert_eq!(tabs[1].value(ANSWER), texts[1].concat());
    tabs[1].write("Go on");
    tabs[1].press("Enter");
    tabs[1].until("document.querySelectorAll('.note').length == 2");
    ended(&tabs[1]);
    let log = relay.mock.log();
    let expected = json!([
        {"role": "user", "content": prompts[1]},
        {"role": "assistant", "content": texts[1].concat()},
        {"role": "user", "content": "Go on"},
    ]);
    assert_eq!(log.last().expect("it asks").body["messages"], expected);

    // A new conversation is new, in this tab.
    tabs[1].click("#fresh");
    tabs[1].until("document.querySelectorAll('.turn').length == 0");
    assert_eq!(
        tabs[1].value("[document.title, document.activeElement.id]"),
        json!(["Chat", "prompt"])
    );
    tabs[1].reload();
    assert_eq!(
        tabs[1].value("document.querySelectorAll('.turn').length"),
        0
    );
    assert_eq!(
        tabs[0].value("document.querySelectorAll('.turn').length"),
        1
    );
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn a_new_conversation_ends_the_answer_of_the_old_one() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("fresh");
    let tab = chromium.open(&relay.url);
    tab.write(PROMPT);
    tab.press("Enter");
    relay.gate.release(2);
    shows(&tab, &pieces(PROMPT)[..2].concat());
    tab.click("#fresh");
    let left = relay
        .mock
        .wait_for(LONG, |log| log[0].left_at_token == Some(2));
    left.expect("the model's server sees it");

    relay.gate.open();
    tab.write("Explain ownership");
    tab.press("Enter");
    ended(&tab);
    assert_eq!(tab.value("document.querySelectorAll('.turn').length"), 1);
    assert_eq!(tab.value(ANSWER), pieces("Explain ownership").concat());
    let log = relay.mock.log();
    let expected = json!([{"role": "user", "content": "Explain ownership"}]);
    assert_eq!(log.last().expect("it asks").body["messages"], expected);
}

#[test]
fn a_page_that_is_closed_ends_its_answer() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("closed");
    let tab = chromium.open(&relay.url);
    tab.write(PROMPT);
    tab.press("Enter");
    relay.gate.release(1);
    shows(&tab, &pieces(PROMPT)[..1].concat());
    tab.reload();
    let left = relay
        .mock
        .wait_for(LONG, |log| log[0].left_at_token == Some(1));
    left.expect("the model's server sees it");
    assert_eq!(tab.value(ANSWER), pieces(PROMPT)[0]);
    assert_eq!(tab.value(NOTE), "Stopped.");
}

#[test]
fn the_keyboard_is_enough_and_text_is_text() {
    let relay = Relay::start(Script::Normal);
    relay.gate.open();
    let chromium = Chromium::start("keyboard");
    let tab = chromium.open(&relay.url);

    // Nothing, and only spaces, are not sent.
    tab.press("Enter");
    tab.write("  ");
    tab.press("Enter");
    assert!(relay.mock.log().is_empty());
    tab.value("form.prompt.value = ''");

    tab.write("<b>One</b>");
    tab.press("Shift+Enter");
    tab.write("two");
    assert_eq!(tab.value("form.prompt.value"), "<b>One</b>\ntwo");
    tab.press("Enter");
    ended(&tab);
    assert_eq!(
        relay.mock.log()[0].body["messages"][0]["content"],
        "<b>One</b>\ntwo"
    );
    assert_eq!(
        tab.value("document.querySelector('.question .text').textContent"),
        "<b>One</b>\ntwo"
    );
    assert_eq!(tab.value("document.querySelectorAll('main b').length"), 0);

    // What the keyboard reaches, in this order, and each shows that it is reached.
    let reached = ["send", "fresh", "conversation", "prompt"].map(|id| {
        tab.press("Tab");
        // Behind the last comes the browser itself, which has no id.
        if tab.value("document.activeElement.id") == "" {
            tab.press("Tab");
        }
        assert_eq!(tab.value("document.activeElement.id"), id);
        tab.value("getComputedStyle(document.activeElement).outlineStyle")
    });
    assert_eq!(reached, ["solid"; 4]);
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn a_screen_reader_hears_of_an_answer_twice_and_finds_everything_by_name() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("by-ear");
    let tab = chromium.open(&relay.url);
    tab.value(
        "window.heard = []; void new MutationObserver(() => heard.push(spoken.textContent)).observe(\
         spoken, { childList: true, characterData: true, subtree: true })",
    );
    tab.write(PROMPT);
    tab.press("Enter");
    relay.gate.release(10);
    shows(&tab, &pieces(PROMPT)[..10].concat());
    let nodes = tab.accessible();
    relay.gate.open();
    ended(&tab);

    let whole = pieces(PROMPT).concat();
    assert_eq!(
        tab.value("heard"),
        json!(["The model is answering.", whole])
    );
    let has = |role: &str, name: &str| {
        nodes
            .iter()
            .any(|node| (&*node.0, &*node.1) == (role, name))
    };
    for (role, name) in [
        ("textbox", "Your message"),
        ("button", "Stop"),
        ("button", "New conversation"),
        ("main", "Conversation"),
        ("heading", "You"),
        ("heading", "Model"),
    ] {
        assert!(has(role, name), "{role} {name}: {nodes:#?}");
    }
    assert!(!has("button", "Send"), "there is nothing to send now");
    // Of all that is in the page, one small thing is live.
    let live = nodes
        .iter()
        .filter(|node| !node.2.is_empty() && node.2 != "off");
    let live: Vec<_> = live.map(|node| (&*node.0, &*node.2)).collect();
    assert_eq!(live[0], ("status", "polite"));
    assert!(
        !live
            .iter()
            .any(|(role, _)| ["main", "article"].contains(role)),
        "{live:?}"
    );
}

#[test]
fn it_fits_a_phone_and_can_be_read_in_light_and_dark() {
    let relay = Relay::start(Script::Truncated);
    relay.gate.open();
    let chromium = Chromium::start("looks");
    let tab = chromium.open(&relay.url);
    let long = format!(
        "Write a short story about {}",
        "Donaudampfschifffahrt".repeat(9)
    );
    for script in [Script::Normal, Script::Truncated] {
        relay.mock.set(|settings| settings.script = script);
        let turns = tab.value("document.querySelectorAll('.turn').length + 1");
        tab.write(&long);
        tab.press("Enter");
        tab.until(&format!(
            "document.querySelectorAll('.turn').length == {turns}"
        ));
        ended(&tab);
    }
    tab.write("A line\nand another");
    for (place, width, height) in [("phone", 320, 640), ("laptop", 1280, 720)] {
        for scheme in ["light", "dark"] {
            tab.look(width, height, scheme);
            tab.until(&format!(
                "innerWidth == {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
            ));
            let wide = tab
                .value("Math.max(document.documentElement.scrollWidth, conversation.scrollWidth)");
            assert!(
                wide.as_u64().expect("a number") <= u64::from(width),
                "{place}: {wide}"
            );
            let high = tab.value("document.documentElement.scrollHeight");
            assert!(
                high.as_u64().expect("a number") <= u64::from(height),
                "{place}: {high}"
            );
            // What a thumb must hit, and what the eye must read (WCAG: 44 px, and 4.5 to 1).
            let small = tab.value(
                "[...document.querySelectorAll('button:not([hidden])')].filter(\
                (it) => it.getBoundingClientRect().height < 44).length",
            );
            assert_eq!(small, 0, "{place}");
            let faint = tab.value(FAINT);
            assert_eq!(faint, json!([]), "{place}, {scheme}");
            // There is more than the window holds, and its end is in sight, at each size.
            tab.until("conversation.scrollHeight > conversation.clientHeight");
            tab.until(&format!("{BELOW} < 8"));
            tab.picture(&format!("chat-{place}-{scheme}"));
        }
    }
    assert_eq!(chromium.complaints(), [""; 0]);
}

#[test]
fn the_end_is_kept_in_sight_until_one_scrolls_up() {
    let relay = Relay::start(Script::Normal);
    let chromium = Chromium::start("scroll");
    let tab = chromium.open(&relay.url);
    tab.look(320, 420, "light");
    let pieces = pieces(PROMPT);
    tab.write(PROMPT);
    tab.press("Enter");
    relay.gate.release(40);
    shows(&tab, &pieces[..40].concat());
    tab.until("conversation.scrollHeight > conversation.clientHeight + 20");
    tab.until(&format!("{BELOW} < 8"));

    // From the next frame on the page knows that it was scrolled.
    tab.value("conversation.scrollTop = 0, new Promise(requestAnimationFrame).then(() => {})");
    relay.gate.open();
    ended(&tab);
    assert_eq!(tab.value(ANSWER), pieces.concat());
    assert_eq!(tab.value("conversation.scrollTop"), 0);

    // Who asks again wants to see the answer.
    tab.write("Explain ownership");
    tab.press("Enter");
    ended(&tab);
    tab.until(&format!("{BELOW} < 8"));
}

// What the tests share.

const ANSWER: &str = "[...document.querySelectorAll('.answer .text')].at(-1).textContent";
const NOTE: &str = "[...document.querySelectorAll('.note')].at(-1).textContent";

/// How much of the conversation is below what is in sight.
const BELOW: &str =
    "conversation.scrollHeight - conversation.scrollTop - conversation.clientHeight";

/// The texts in the page that are too faint, each with its contrast.
const FAINT: &str = "(() => {
    const parts = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => parts(color).slice(0, 3)
        .map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = (node) => {
        const { backgroundColor } = getComputedStyle(node);
        return parts(backgroundColor)[3] === 0 ? behind(node.parentElement) : backgroundColor;
    };
    return [...document.querySelectorAll('h1, h2, p, label, textarea, button')].flatMap((node) => {
        const [one, other] = [getComputedStyle(node).color, behind(node)].map(light);
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        return contrast < 4.5 ? [`${node.tagName}.${node.className} ${contrast}`] : [];
    });
})()";

/// Waits until the newest answer in the page is this text.
#[track_caller]
fn shows(tab: &Tab, text: &str) {
    tab.until(&format!(
        "document.querySelector('.answer') && {ANSWER} == {}",
        json!(text)
    ));
}

/// Waits until no answer is being written.
#[track_caller]
fn ended(tab: &Tab) {
    tab.until("document.querySelector('.answer') && !document.querySelector('[aria-busy=true]')");
}

/// The pieces in which the model answers this, when nothing goes wrong.
fn pieces(prompt: &str) -> Vec<String> {
    let mock = Mock::start().expect("a free port");
    let client = SyncClient::new(config(&mock)).expect("a client can be built");
    let events = client.chat_stream(&ChatRequest::new(DEFAULT_MODEL, prompt));
    let events = events
        .expect("it answers")
        .map(|event| event.expect("it is whole"));
    let texts = events.filter_map(|event| match event {
        Event::Text(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

/// A relay in front of a mock whose tokens wait at a gate.
struct Relay {
    mock: Mock,
    gate: Gate,
    url: String,
    runtime: Option<Runtime>,
}

impl Relay {
    fn start(script: Script) -> Relay {
        let mock = Mock::builder().script(script).gate("tab").start();
        let mock = mock.expect("a free port");
        let runtime = Runtime::new().expect("a runtime can be built");
        let options = CallOptions::new().silence(LONG);
        let client = AsyncClient::new(config(&mock)).and_then(|client| client.with(options));
        let client = client.expect("a client can be built");
        let address: SocketAddr = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            tokio::spawn(chat::serve(listener, client));
            address
        });
        Relay {
            gate: mock.gate("tab"),
            mock,
            url: format!("http://{address}/"),
            runtime: Some(runtime),
        }
    }

    /// Ends the relay with all its connections, as when its program is killed.
    fn end(&mut self) {
        let runtime = self.runtime.take().expect("it ends once");
        runtime.shutdown_timeout(LONG);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn config(mock: &Mock) -> Config {
    Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid")
}
