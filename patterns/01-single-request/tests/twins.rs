//! Every behaviour is one case in one table, run through both versions: equal answers, and equal
//! traffic in the mock's log.

use ai_core::{AsyncClient, Config, Error, SyncClient};
use ai_mock::{Mock, Script};
use single_request::{Answer, Ending, ask, ask_async};

#[path = "../examples/as_written.rs"]
#[allow(dead_code, unreachable_pub)]
mod as_written;

/// The cases: how the server behaves, and what the answer's ending must be.
const CASES: &[(Script, Expected)] = &[
    (Script::Normal, Expected::Ending(Ending::Complete)),
    (Script::Length, Expected::Ending(Ending::CutShort)),
    (Script::ContentFilter, Expected::Ending(Ending::Filtered)),
    (Script::NoFinish, Expected::Ending(Ending::Unclear(None))),
    (Script::Refusal, Expected::Refused),
    (Script::ToolCalls, Expected::WantsTools),
    (Script::NoUsage, Expected::UnknownCost),
    (Script::Unauthorized, Expected::Error("status")),
    (Script::Html429, Expected::Error("rate_limited")),
    (Script::QuotaExhausted, Expected::Error("quota_exhausted")),
    (Script::ErrorIn200, Expected::Error("server")),
    (Script::NotJson, Expected::Error("malformed")),
    (Script::CutBody, Expected::Error("interrupted")),
    (Script::ResetBeforeHeaders, Expected::Error("interrupted")),
];

enum Expected {
    Ending(Ending),
    Refused,
    WantsTools,
    UnknownCost,
    Error(&'static str),
}

impl Expected {
    fn check(&self, script: Script, result: &Result<Answer, Error>) {
        let holds = match (self, result) {
            (Expected::Ending(ending), Ok(answer)) => answer.ending == *ending,
            (Expected::Refused, Ok(answer)) => matches!(answer.ending, Ending::Refused(_)),
            (Expected::WantsTools, Ok(answer)) => {
                matches!(&answer.ending, Ending::WantsTools(calls) if !calls.is_empty())
            }
            // Unknown is not 0, and the answer is none the worse for it.
            (Expected::UnknownCost, Ok(answer)) => {
                answer.usage.is_none() && answer.cost.is_none() && answer.ending.success().is_ok()
            }
            (Expected::Error(kind), Err(error)) => error.kind() == *kind,
            _ => false,
        };
        assert!(holds, "{script:?}: {result:?}");
    }
}

#[test]
fn both_versions_give_the_same_answers_and_the_same_traffic() {
    for (script, expected) in CASES {
        let (sync, sync_traffic) = observe(*script, |config| {
            let client = SyncClient::new(config)?;
            ask(&client, "Explain quantum computing in simple terms")
        });
        let (awaited, async_traffic) = observe(*script, |config| {
            block_on(async {
                let client = AsyncClient::new(config)?;
                ask_async(&client, "Explain quantum computing in simple terms").await
            })
        });
        expected.check(*script, &sync);
        assert_eq!(comparable(sync), comparable(awaited), "{script:?}");
        assert_eq!(sync_traffic, async_traffic, "{script:?}");
    }
}

/// Starts a server, runs one version, and returns its result with what the server saw.
fn observe(
    script: Script,
    run: impl FnOnce(Config) -> Result<Answer, Error>,
) -> (Result<Answer, Error>, Vec<(String, serde_json::Value)>) {
    let mock = Mock::builder()
        .script(script)
        .start()
        .expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    let result = run(config);
    let traffic = mock
        .log()
        .into_iter()
        .map(|entry| (entry.path, entry.body))
        .collect();
    (result, traffic)
}

/// What must be equal: everything but how long it took and what the server made up for this call.
fn comparable(result: Result<Answer, Error>) -> Result<Answer, String> {
    match result {
        Ok(answer) => Ok(Answer {
            elapsed: std::time::Duration::ZERO,
            request_id: None,
            ..answer
        }),
        Err(error) => Err(format!("{} {}", error.kind(), error.is_retryable())),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

#[test]
fn an_answer_tells_tokens_cost_request_and_model() {
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    let client = SyncClient::new(config).expect("a client can be built");

    let answer = ask(&client, "Explain quantum computing in simple terms").expect("it answers");

    assert!(!answer.text.is_empty());
    let usage = answer.usage.expect("the mock tells its usage");
    assert!(usage.input_tokens > 0 && usage.output_tokens > 0);
    assert_eq!(answer.cost, usage.cost(&answer.model));
    assert!(answer.request_id.is_some_and(|id| id.starts_with("req_")));
}

#[test]
fn one_client_keeps_one_connection_where_the_guide_opens_twenty() {
    let mock = Mock::start().expect("a free port on 127.0.0.1");
    let config = Config::new(&mock.base_url(), "sk-test").expect("the mock's URL is valid");
    let client = SyncClient::new(config).expect("a client can be built");
    let guide = as_written::SyncAIClient {
        api_key: "sk-test".into(),
        base_url: mock.base_url(),
    };

    for _ in 0..20 {
        ask(&client, "Hello").expect("it answers");
    }
    let ours = mock.stats().connections;
    for _ in 0..20 {
        guide.generate_text("Hello").expect("it answers");
    }
    let theirs = mock.stats().connections - ours;

    assert_eq!((ours, theirs), (1, 20));
}

#[test]
fn the_guide_loses_why_it_was_refused_and_that_a_text_was_cut() {
    let mock = Mock::builder()
        .api_key("sk-right")
        .start()
        .expect("a free port on 127.0.0.1");
    let mut guide = as_written::SyncAIClient {
        api_key: "sk-wrong".into(),
        base_url: mock.base_url(),
    };

    let refused = guide
        .generate_text("Hello")
        .expect_err("the key is wrong")
        .to_string();
    assert!(
        refused.contains("401") && !refused.contains("invalid_api_key"),
        "{refused}"
    );

    mock.set(|settings| settings.script = Script::Length);
    guide.api_key = "sk-right".into();
    assert!(
        guide.generate_text("Tell me a story").is_ok(),
        "a cut text passes for a whole one"
    );
}
