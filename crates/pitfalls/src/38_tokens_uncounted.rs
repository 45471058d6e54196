//! A limiter that counts requests lets through what the server refuses for its tokens. Most limits are
//! two, and long prompts meet that on tokens first; the guide counts requests. Count both.

use ai_core::ChatRequest;
use ai_mock::{Mock, Quota};
use rate_limited_batch::{AsyncLimiter, Limits};

use crate::Both;
use crate::support::{block_on, client, secs, start};

// ANCHOR: wrong
/// 60 requests a minute.
pub fn wrong() -> Limits {
    Limits::new(60, secs(60))
}
// ANCHOR_END: wrong

// ANCHOR: right
/// 60 requests a minute, and 1,000 tokens: of each request the most that it may use.
pub fn right() -> Limits {
    let tokens = Some(1000);
    Limits { tokens, ..wrong() }
}
// ANCHOR_END: right

/// Of ten requests: how many are sent now, and how many of these the server refuses.
fn sent(limits: Limits) -> (usize, usize) {
    let mock = start(Mock::builder().quota(Quota {
        requests: Some(60),
        tokens: Some(1000),
        window: secs(60),
    }));
    let client = client(&mock);
    // 300 for the answer, and some for the prompt.
    let (request, cost) = (
        ChatRequest::new("gpt-4o-mini", "Hello").max_tokens(300),
        320,
    );
    let (mut sent, mut refused) = (0, 0);
    block_on(async {
        let limiter = AsyncLimiter::new(limits);
        for _ in 0..10 {
            // Whoever has no place now would wait for one.
            let Ok(_permit) = limiter.acquire_within(cost, secs(0)).await else {
                continue;
            };
            sent += 1;
            refused += usize::from(client.chat(&request).await.is_err());
        }
    });
    (sent, refused)
}

pub(crate) fn both() -> Both {
    let tell = |(sent, refused): &(usize, usize)| {
        format!("of 10 requests, sent at once: {sent}; refused with 429: {refused}")
    };
    Both::of(
        sent(wrong()),
        sent(right()),
        |(_, refused)| *refused == 0,
        tell,
    )
}
