//! `cargo run --bin streaming-sync -- "Write a short story"`

use std::process::ExitCode;

use ai_core::SyncClient;
use crossbeam_channel::bounded;
use demo::Scene;
use streaming::{follow, generate_stream};

fn main() -> ExitCode {
    demo::run(Scene::Story, |session| {
        let client = SyncClient::new(session.config.clone())?;
        let prompt = session.prompt("Write a short story");
        let (ctrl_c, stop) = bounded(1);
        // A second Ctrl-C finds the channel full: the first one says enough.
        ctrlc::set_handler(move || ctrl_c.try_send(()).unwrap_or(()))?;
        let open = move || generate_stream(&client, &prompt);
        let story = follow(open, &mut session.out(), &stop)?;
        session.close(&story)?;
        demo::note(story.summary());
        story.ending.success()
    })
}
