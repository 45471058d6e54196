//! A limiter that counts its own requests knows nothing of the others that use the account. The server
//! tells with each answer what is left for all of them. The guide doesn't listen. Let the limiter learn it.

use ai_core::{AsyncClient, ChatRequest, ChatResponse, Error, Reply};
use ai_mock::{Mock, Quota};
use rate_limited_batch::{AsyncLimiter, AsyncPermit, Feedback, Limits};

use crate::Both;
use crate::support::{block_on, client, secs, start};

const LIMIT: u32 = 10;

type Answered = Result<Reply<ChatResponse>, Error>;

// ANCHOR: wrong
/// The headers of the answer are thrown away with the permit.
pub async fn wrong(
    permit: AsyncPermit<'_>,
    client: &AsyncClient,
    request: &ChatRequest,
) -> Answered {
    let answered = client.chat(request).await;
    drop(permit);
    answered
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The limiter reads `x-ratelimit-remaining-requests`: less is left than it thought.
pub async fn right(
    permit: AsyncPermit<'_>,
    client: &AsyncClient,
    request: &ChatRequest,
) -> Answered {
    let answered = client.chat(request).await;
    permit.finish(&match &answered {
        Ok(reply) => Feedback::of_reply(&reply.headers, reply.usage),
        Err(error) => Feedback::of_error(error),
    });
    answered
}
// ANCHOR_END: right

/// Of ten requests: how many are sent now, and how many of these the server refuses. Ten a minute are
/// allowed, and another program has just made seven.
fn sent(
    half: impl AsyncFn(AsyncPermit<'_>, &AsyncClient, &ChatRequest) -> Answered,
) -> (usize, usize) {
    let mock = start(Mock::builder().quota(Quota {
        requests: Some(LIMIT),
        window: secs(60),
        ..Quota::default()
    }));
    let client = client(&mock);
    let request = ChatRequest::new("gpt-4o-mini", "Hello");
    let (mut sent, mut refused) = (0, 0);
    block_on(async {
        for _ in 0..7 {
            let theirs = client.chat(&request).await;
            theirs.expect("the limit allows seven");
        }
        let limiter = AsyncLimiter::new(Limits::new(LIMIT, secs(60)));
        for _ in 0..10 {
            // A request that gets no permit now would wait for one.
            let Ok(permit) = limiter.acquire_within(0, secs(0)).await else {
                continue;
            };
            sent += 1;
            refused += usize::from(half(permit, &client, &request).await.is_err());
        }
    });
    (sent, refused)
}

pub(crate) fn both() -> Both {
    let tell = |(sent, refused): &(usize, usize)| {
        format!("of 10 requests, sent at once: {sent}; refused with 429: {refused}")
    };
    Both::of(sent(wrong), sent(right), |sent| *sent == (3, 0), tell)
}
