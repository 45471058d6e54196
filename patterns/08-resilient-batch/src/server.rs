//! Which server to call: the offline server of this lesson, which is hostile, or a real one.

use std::process::ExitCode;
use std::time::Duration;

use ai_core::Config;
use ai_mock::{Mock, Quota};
use caching::Scope;
use demo::Scene;

use crate::options::Options;

/// The server to call.
#[derive(Debug)]
pub(crate) struct Server {
    /// How to reach it.
    pub config: Config,
    /// The offline server; it stops when this is dropped.
    mock: Option<Mock>,
}

/// The longest wait for an answer to begin. One that comes in one piece begins when it is written to
/// its end, so the 30 s of the lessons would cut off the longest ones, and pay for each three times.
const SILENCE: Duration = Duration::from_secs(120);

impl Server {
    /// Starts the offline server, or reads the settings of a real one.
    ///
    /// # Errors
    /// The exit code, when it has been said why.
    pub(crate) fn find(options: &Options) -> Result<Server, ExitCode> {
        let mut server = if options.live {
            let config = demo::live_config()?;
            Server { config, mock: None }
        } else {
            Server::offline(options).map_err(|error| demo::fail(&*error))?
        };
        server.config.timeouts.silence = SILENCE;
        if let Some(model) = &options.model {
            server.config.model.clone_from(model);
        }
        Ok(server)
    }

    fn offline(options: &Options) -> Result<Server, Box<dyn std::error::Error>> {
        let quota = Quota {
            requests: Some(options.rpm.get()),
            tokens: options.tpm.map(|tokens| tokens.get()),
            window: options.window(),
        };
        let mock = Mock::builder().seed(options.seed).quota(quota);
        let mock = demo::hostile(mock, Scene::Hostile.default_scale()).start()?;
        let config = Config::new(&mock.base_url(), "offline")?;
        let mock = Some(mock);
        Ok(Server { config, mock })
    }

    /// Whether it is the offline one, which wants to know the names of the jobs: by them it decides
    /// which calls fail.
    pub(crate) fn is_offline(&self) -> bool {
        self.mock.is_some()
    }

    /// Whose answers the cache may give. The offline server has another port each time, and gives
    /// the same answers for the same seed.
    pub(crate) fn scope(&self, options: &Options) -> Scope {
        let mut scope = Scope::of(&self.config);
        if self.is_offline() {
            scope.base_url = format!("offline mock, seed {}", options.seed);
        }
        scope
    }

    /// Which one it is, for people.
    pub(crate) fn describe(&self, options: &Options) -> String {
        let Some(mock) = &self.mock else {
            let Config { model, .. } = &self.config;
            return format!(
                "{}, model {model} (live: it may be billed)",
                self.config.base_url()
            );
        };
        let tokens = match options.tpm {
            Some(tokens) => format!(" and {tokens} tokens"),
            None => String::new(),
        };
        format!(
            "offline mock on {} (seed {}, {} requests{tokens} in any {:?}, {}, {} a reply)",
            mock.addr(),
            options.seed,
            options.rpm,
            options.window(),
            demo::failures(),
            mock.settings().latency,
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn an_answer_in_one_piece_may_take_longer_to_begin_than_those_of_the_lessons() {
        let options = Options::try_parse_from([""]).expect("good arguments");
        let server = Server::find(&options).expect("a free port on 127.0.0.1");
        let silence = server.config.timeouts.silence;
        assert_eq!(silence, Duration::from_secs(120));
    }
}
