//! A client for every call is a connection for every call, and with TLS a handshake. Who puts the call
//! into one function has it, and the guide's both clients. Build one, and share it.

use ai_core::{AsyncClient, Config, Error};
use ai_mock::Mock;

use crate::Both;
use crate::support::{block_on, config, start};

// ANCHOR: wrong
/// The pool of connections is new each time, and so empty.
pub async fn wrong(config: &Config, calls: usize) -> Result<(), Error> {
    for _ in 0..calls {
        let client = AsyncClient::new(config.clone())?;
        client.generate_text("Hello").await?;
    }
    Ok(())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// One pool for all calls. A clone of the client shares it, too.
pub async fn right(config: &Config, calls: usize) -> Result<(), Error> {
    let client = AsyncClient::new(config.clone())?;
    for _ in 0..calls {
        client.generate_text("Hello").await?;
    }
    Ok(())
}
// ANCHOR_END: right

pub(crate) fn both() -> Both {
    let connections = |half: &dyn Fn(Config) -> Result<(), Error>| {
        let mock = start(Mock::builder());
        half(config(&mock)).expect("the mock answers");
        mock.stats().connections
    };
    let wrong = connections(&|config| block_on(wrong(&config, 10)));
    let right = connections(&|config| block_on(right(&config, 10)));
    let tell = |connections: &u64| format!("10 calls, connections: {connections}");
    Both::of(wrong, right, |connections| *connections == 1, tell)
}
