//! The control API, for programs that only have the address.

use ai_mock::{Mock, Script};
use serde_json::{Value, json};

use crate::support::{Call, PATIENCE, call, chat, prompt, streamed};

#[test]
fn the_log_and_the_counters_are_there_as_json() {
    let mock = Mock::start().unwrap();
    chat(&mock, &[("x-mock-item", "seven")], &prompt("Hi"));

    let log = call(&mock, "GET", "/_mock/log", "").json();
    assert_eq!(
        log.as_array().unwrap().len(),
        1,
        "the control API itself is not logged"
    );
    let entry = &log[0];
    assert_eq!(
        (&entry["item"], &entry["attempt"], &entry["status"]),
        (&json!("seven"), &json!(1), &json!(200))
    );
    assert_eq!(entry["body"], prompt("Hi"));
    assert!(entry["arrived_ms"].as_f64().unwrap() <= entry["last_byte_ms"].as_f64().unwrap());
    let stats = call(&mock, "GET", "/_mock/stats", "").json();
    assert_eq!(
        (&stats["requests"], &stats["connections"]),
        (&json!(1), &json!(1))
    );

    assert_eq!(call(&mock, "DELETE", "/_mock/log", "").status(), 200);
    assert_eq!(call(&mock, "GET", "/_mock/log", "").json(), json!([]));
    assert_eq!(call(&mock, "GET", "/_mock/stats", "").json()["requests"], 0);
}

#[test]
fn settings_change_at_run_time() {
    let mock = Mock::start().unwrap();
    let patch = |body: Value| call(&mock, "PATCH", "/_mock/settings", &body.to_string());

    assert_eq!(
        patch(json!({"script": "html-502", "seed": 9})).status(),
        200
    );
    assert_eq!(chat(&mock, &[], &prompt("Hi")).status(), 502);
    assert_eq!(call(&mock, "GET", "/_mock/settings", "").json()["seed"], 9);

    let refused = patch(json!({"script": "normal", "speed": 3}));
    assert_eq!(refused.status(), 400);
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("speed") && message.contains("tokens-per-second"),
        "{message}"
    );
    assert_eq!(
        mock.settings().script,
        Script::Html502,
        "a refused patch changes nothing"
    );
    assert_eq!(patch(json!([])).status(), 400);
    assert_eq!(call(&mock, "PATCH", "/_mock/settings", "{").status(), 400);
}

#[test]
fn gates_are_released_and_scripts_listed() {
    let mock = Mock::start().unwrap();
    let headers = [("x-mock-gate", "steps"), ("x-mock-tokens", "3")];
    let stream = Call::post(
        mock.addr(),
        "/v1/chat/completions",
        &headers,
        &streamed("Hi"),
    );
    assert_eq!(
        call(&mock, "POST", "/_mock/gates/steps/release", "").json(),
        json!({"released": 1})
    );
    mock.wait_for(PATIENCE, |log| {
        log.first().is_some_and(|entry| entry.tokens_sent == 1)
    })
    .unwrap();
    assert_eq!(
        call(
            &mock,
            "POST",
            "/_mock/gates/steps/release",
            "{\"tokens\": 2}"
        )
        .status(),
        200
    );
    assert!(stream.finish().whole);
    assert_eq!(
        call(
            &mock,
            "POST",
            "/_mock/gates/steps/release",
            "{\"tokens\": 0}"
        )
        .status(),
        400
    );

    let scripts = call(&mock, "GET", "/_mock/scripts", "").json();
    assert_eq!(scripts.as_array().unwrap().len(), Script::ALL.len());
    let lost = call(&mock, "GET", "/_mock/lag", "");
    assert_eq!(lost.status(), 404);
    assert!(lost.text().contains("/_mock/stats"));
}
