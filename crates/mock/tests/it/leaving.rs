//! Clients that go away, gates, waiting, and the end of the mock itself.

use std::net::TcpListener;
use std::time::Duration;

use ai_mock::{Entry, Mock, Script};

use crate::support::{Call, PATIENCE, chat, prompt, streamed};

const CHAT: &str = "/v1/chat/completions";

/// The only entry, once its client has left.
fn left(mock: &Mock) -> Entry {
    let log = mock
        .wait_for(PATIENCE, |log| {
            log.last()
                .is_some_and(|entry| entry.left_at_token.is_some())
        })
        .unwrap();
    log.into_iter().next_back().unwrap()
}

#[test]
fn leaving_in_the_latency_ends_the_work() {
    let mock = Mock::builder()
        .latency(Duration::from_secs(3600))
        .start()
        .unwrap();
    for body in [prompt("Hi"), streamed("Hi")] {
        mock.clear_log();
        let call = Call::post(mock.addr(), CHAT, &[], &body);
        mock.wait_for(PATIENCE, |log| log.len() == 1).unwrap();
        drop(call);
        let entry = left(&mock);
        assert_eq!(
            (entry.left_at_token, entry.status, entry.tokens_sent),
            (Some(0), None, 0)
        );
        assert_eq!(mock.stats().in_flight, 0);
        assert_eq!(mock.stats().left, 1);
    }
}

#[test]
fn leaving_the_queue_or_a_slot_lets_the_next_one_in() {
    let mock = Mock::builder().slots(1).start().unwrap();
    let gated = [("x-mock-gate", "shut")];
    let served = Call::post(mock.addr(), CHAT, &gated, &prompt("first"));
    mock.wait_for(PATIENCE, |log| log.len() == 1).unwrap();
    let queued = Call::post(mock.addr(), CHAT, &[], &prompt("second"));
    mock.wait_for(PATIENCE, |log| log.len() == 2).unwrap();
    let last = Call::post(mock.addr(), CHAT, &[], &prompt("third"));
    mock.wait_for(PATIENCE, |log| log.len() == 3).unwrap();

    drop(queued);
    mock.wait_for(PATIENCE, |log| log[1].left_at_token == Some(0))
        .unwrap();
    drop(served);
    assert_eq!(last.finish().status(), 200);
    assert_eq!(mock.log()[0].left_at_token, Some(0));
}

#[test]
fn leaving_in_mid_stream_is_logged_with_the_token() {
    let mock = Mock::start().unwrap();
    let gate = mock.gate("steps");
    let mut call = Call::post(
        mock.addr(),
        CHAT,
        &[("x-mock-gate", "steps"), ("x-mock-tokens", "9")],
        &streamed("Hi"),
    );
    gate.release(1);
    // The first token is here while the second is held back.
    call.until(r#""delta":{"content":""#);
    mock.wait_for(PATIENCE, |log| log[0].tokens_sent == 1)
        .unwrap();
    gate.release(2);
    mock.wait_for(PATIENCE, |log| log[0].tokens_sent == 3)
        .unwrap();
    drop(call);
    let entry = left(&mock);
    assert_eq!(
        (entry.left_at_token, entry.tokens_sent, entry.status),
        (Some(3), 3, Some(200))
    );
    assert_eq!(mock.stats().tokens_sent, 3);
}

#[test]
fn leaving_is_seen_in_scripts_that_fall_silent() {
    let mock = Mock::start().unwrap();
    for (script, body, sign, tokens) in [
        ("never-answers", prompt("Hi"), None, 0),
        ("never-answers", streamed("Hi"), None, 0),
        ("stall", streamed("Hi"), Some(r#""delta":{"content":""#), 1),
        ("stall", prompt("Hi"), Some("\r\n\r\n{"), 0),
    ] {
        mock.clear_log();
        let mut call = Call::post(mock.addr(), CHAT, &[("x-mock-script", script)], &body);
        if let Some(sign) = sign {
            call.until(sign);
        }
        mock.wait_for(PATIENCE, |log| {
            log.last().is_some_and(|entry| entry.tokens_sent == tokens)
        })
        .unwrap();
        drop(call);
        let entry = left(&mock);
        assert_eq!((entry.left_at_token, entry.script), (Some(tokens), script));
    }
}

#[test]
fn leaving_after_done_is_no_loss() {
    let mock = Mock::builder()
        .script(Script::HoldAfterDone)
        .start()
        .unwrap();
    let mut call = Call::post(mock.addr(), CHAT, &[], &streamed("Hi"));
    call.until("data: [DONE]\n\n");
    drop(call);
    let log = mock.wait_for(PATIENCE, |log| log[0].is_finished()).unwrap();
    assert_eq!(log[0].left_at_token, None);
}

#[test]
fn a_client_that_stops_reading_and_leaves_is_noticed() {
    let mock = Mock::start().unwrap();
    // More than all buffers between us hold, so that the mock has to wait for the client.
    let mut call = Call::post(
        mock.addr(),
        CHAT,
        &[("x-mock-tokens", "200000")],
        &streamed("Hi"),
    );
    call.until("data: ");
    drop(call);
    let entry = left(&mock);
    assert!(
        entry.left_at_token.is_some_and(|token| token < 200_000),
        "{:?}",
        entry.left_at_token
    );
}

#[test]
fn a_gate_holds_a_plain_reply_and_can_be_opened_for_good() {
    let mock = Mock::start().unwrap();
    let headers = [("x-mock-gate", "door"), ("x-mock-tokens", "50")];
    let plain = Call::post(mock.addr(), CHAT, &headers, &prompt("Hi"));
    let log = mock.wait_for(PATIENCE, |log| log.len() == 1).unwrap();
    assert_eq!(log[0].status, None);
    mock.gate("door").release(1);
    assert_eq!(plain.finish().status(), 200);

    let stream = Call::post(mock.addr(), CHAT, &headers, &streamed("Hi"));
    mock.gate("door").open();
    assert!(stream.finish().whole);
}

#[test]
fn a_wait_that_fails_shows_the_log() {
    let mock = Mock::start().unwrap();
    chat(&mock, &[("x-mock-item", "lonely")], &prompt("Hi"));
    let error = mock
        .wait_for(Duration::ZERO, |log| log.len() == 2)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("1 request") && text.contains("lonely") && text.contains("200"),
        "{text}"
    );
}

#[test]
fn tasks_wait_for_the_log_too() {
    let mock = Mock::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let gate = mock.gate("steps");
    let call = Call::post(
        mock.addr(),
        CHAT,
        &[("x-mock-gate", "steps")],
        &streamed("Hi"),
    );
    gate.release(1);
    let log = runtime.block_on(mock.wait_for_async(PATIENCE, |log| {
        log.first().is_some_and(|entry| entry.tokens_sent == 1)
    }));
    assert_eq!(log.unwrap()[0].tokens_sent, 1);
    drop(call);
    assert!(
        runtime
            .block_on(mock.wait_for_async(Duration::ZERO, |log| log.len() > 1))
            .is_err()
    );
}

#[test]
fn dropping_the_mock_ends_its_connections_and_frees_its_port() {
    let mock = Mock::builder()
        .latency(Duration::from_secs(3600))
        .start()
        .unwrap();
    let addr = mock.addr();
    let call = Call::post(addr, CHAT, &[], &prompt("Hi"));
    mock.wait_for(PATIENCE, |log| log.len() == 1).unwrap();
    drop(mock);
    assert_eq!(call.finish().status(), 0);
    TcpListener::bind(addr).unwrap();
}

#[test]
fn many_mocks_live_side_by_side() {
    let mocks: Vec<Mock> = (0..8).map(|_| Mock::start().unwrap()).collect();
    std::thread::scope(|scope| {
        for mock in &mocks {
            scope.spawn(|| assert_eq!(chat(mock, &[], &prompt("Hi")).status(), 200));
        }
    });
    assert!(mocks.iter().all(|mock| mock.stats().requests == 1));
}

#[test]
fn a_mock_starts_and_stops_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mock = Mock::start().unwrap();
        assert!(mock.base_url().starts_with("http://127.0.0.1:"));
    });
}
