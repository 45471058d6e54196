//! `try_join_all` gives up at the first error, and throws away what others have answered by then: paid
//! for, and gone. Who writes `?` over a list has it. Take a result for each.

use ai_core::{AsyncClient, CallOptions};
use ai_mock::Mock;
use futures::future::{join_all, try_join_all};
use tokio::join;

use crate::Both;
use crate::support::{LONG, block_on, client, start};

// ANCHOR: wrong
/// All answers, or none.
pub async fn wrong(clients: &[AsyncClient]) -> Vec<String> {
    let calls = clients.iter().map(|client| client.generate_text("Hello"));
    try_join_all(calls).await.unwrap_or_default()
}
// ANCHOR_END: wrong

// ANCHOR: right
/// All answers that there are. (The errors are there too: look at them before you flatten.)
pub async fn right(clients: &[AsyncClient]) -> Vec<String> {
    let calls = clients.iter().map(|client| client.generate_text("Hello"));
    join_all(calls).await.into_iter().flatten().collect()
}
// ANCHOR_END: right

/// What the server has answered, and what is kept of it. The third call fails, after all others.
fn kept(half: impl AsyncFn(&[AsyncClient]) -> Vec<String>) -> (usize, usize) {
    let mock = start(Mock::builder());
    let mut clients = vec![client(&mock); 6];
    let fails = CallOptions::new()
        .header("x-mock-fail", "always")
        .header("x-mock-gate", "late");
    clients[2] = clients[2].with(fails).expect("the headers can be sent");
    let answered = |log: &[ai_mock::Entry]| log.iter().filter(|it| it.is_finished()).count();
    block_on(async {
        let others = async {
            let log = mock.wait_for_async(LONG, |log| answered(log) == 5).await;
            mock.gate("late").open();
            answered(&log.expect("five are answered"))
        };
        let (kept, answered) = join!(half(&clients), others);
        (answered, kept.len())
    })
}

pub(crate) fn both() -> Both {
    let tell = |(answered, kept): &(usize, usize)| {
        format!("{answered} answers are paid for, {kept} are kept")
    };
    Both::of(
        kept(wrong),
        kept(right),
        |(answered, kept)| answered == kept,
        tell,
    )
}
