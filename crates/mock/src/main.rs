//! The `ai-mock` program: the simulator as a server of its own, for classrooms, benches and other languages.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::str::FromStr;

use ai_mock::{FailFirst, Failure, Latency, Mock, Quota, Script, Service, Settings, parse};
use clap::Parser;

/// An OpenAI-compatible simulator.
#[derive(Parser)]
#[command(version, about, long_about = None)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on; 0.0.0.0 lets the whole room in.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Fixes answers, latencies and faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Time to a plain reply: 300ms, 0.3s, 100ms..300ms or lognormal:50ms,400ms (p50, p99).
    #[arg(long, default_value = "0ms")]
    latency: Latency,
    /// Latency of one service: chat, embedding, sentiment, summary or entities. May be repeated.
    #[arg(long, value_name = "SERVICE=LATENCY", value_parser = by_service::<Latency>)]
    service_latency: Vec<(Service, Latency)>,
    /// Time to the first token of a stream [default: the latency].
    #[arg(long, value_name = "LATENCY")]
    first_token: Option<Latency>,
    /// Pace of a stream's tokens [default: no pause between them].
    #[arg(long, value_name = "N", value_parser = parse::pace)]
    tokens_per_second: Option<f64>,
    /// Requests served at once; the others wait in line [default: all].
    #[arg(long, value_name = "N", value_parser = parse::slots)]
    slots: Option<usize>,
    /// Share of attempts that fail: 0.1, 0.1x503, 0.1xreset, or several: 0.1x500,0.05xreset.
    #[arg(long, value_name = "RATE[xFAILURE],...", value_parser = parse::failure_rate)]
    // Named in full: clap would take a bare `Vec` for a flag that may be repeated.
    failure_rate: Option<std::vec::Vec<(f64, Failure)>>,
    /// First attempts of each item that fail: 2, 2x429, 2xreset or always.
    #[arg(long, value_name = "N[xFAILURE]")]
    fail_first: Option<FailFirst>,
    /// Requests allowed in a window.
    #[arg(long, value_name = "N")]
    rpm: Option<u32>,
    /// Tokens allowed in a window.
    #[arg(long, value_name = "N")]
    tpm: Option<u32>,
    /// Length of the window of --rpm and --tpm.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse::window)]
    window: std::time::Duration,
    /// The only key to accept [default: any].
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Wire script of requests that name none.
    #[arg(long, value_name = "NAME", default_value_t)]
    script: Script,
    /// Wire script of one service, like embedding=html-502. May be repeated.
    #[arg(long, value_name = "SERVICE=NAME", value_parser = by_service::<Script>)]
    service_script: Vec<(Service, Script)>,
    /// Makes every text answer exactly this long.
    #[arg(long, value_name = "N")]
    answer_tokens: Option<u32>,
    /// Tokens of a stream that leave in one write [default: 1].
    #[arg(long, value_name = "N")]
    tokens_per_write: Option<NonZeroU32>,
    /// Makes the text of each streamed token the time at which it was written, in nanoseconds since the Unix epoch.
    #[arg(long)]
    stamp_tokens: bool,
    /// Lists the wire scripts and ends.
    #[arg(long)]
    scripts: bool,
}

fn by_service<T: FromStr<Err = String>>(text: &str) -> Result<(Service, T), String> {
    let (service, value) = text
        .split_once('=')
        .ok_or("write a service, = and its value, like embedding=500ms")?;
    Ok((service.parse()?, value.parse()?))
}

impl Arguments {
    fn settings(self) -> Settings {
        let limited = self.rpm.is_some() || self.tpm.is_some();
        Settings {
            seed: self.seed,
            latency: self.latency,
            service_latency: self.service_latency.into_iter().collect(),
            first_token: self.first_token,
            tokens_per_second: self.tokens_per_second,
            slots: self.slots,
            failure_rate: self.failure_rate.unwrap_or_default(),
            fail_first: self.fail_first,
            quota: limited.then_some(Quota {
                requests: self.rpm,
                tokens: self.tpm,
                window: self.window,
            }),
            api_key: self.api_key,
            script: self.script,
            service_script: self.service_script.into_iter().collect(),
            answer_tokens: self.answer_tokens,
            tokens_per_write: self.tokens_per_write,
            stamp_tokens: self.stamp_tokens,
            gate: None,
        }
    }
}

fn main() -> ExitCode {
    // clap ends the program itself: with 2 and a message for a bad flag, with 0 for --help.
    let arguments = Arguments::parse();
    if arguments.scripts {
        for script in Script::ALL {
            println!("{:<22}{}", script.name(), script.about());
        }
        return ExitCode::SUCCESS;
    }
    let (host, port) = (arguments.host, arguments.port);
    let mock = match Mock::builder()
        .host(host)
        .port(port)
        .settings(arguments.settings())
        .start()
    {
        Ok(mock) => mock,
        Err(error) => {
            eprintln!("ai-mock: cannot listen on {host}:{port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&mock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ai-mock: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mock: &Mock) -> Result<(), Box<dyn std::error::Error>> {
    let base = mock.base_url();
    // Ready for Ctrl-C before the address is out, since whoever reads it may stop us at once.
    let (send, stopped) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = send.send(());
    })?;
    // Programs that start the mock read this line, so it stands alone; println! flushes at its end.
    println!("listening on {base}");
    let root = base.trim_end_matches("/v1");
    eprintln!("Use it:    export OPENAI_BASE_URL={base} OPENAI_API_KEY=any");
    eprintln!(
        "Watch it:  curl {root}/_mock/log    (also /_mock/stats, /_mock/settings, /_mock/scripts)"
    );
    eprintln!("Change it: curl -X PATCH {root}/_mock/settings -d '{{\"latency\": \"300ms\"}}'");
    eprintln!("Stop it:   Ctrl-C");
    stopped.recv()?;
    let stats = mock.stats();
    eprintln!(
        "{} requests on {} connections, at most {} at once, {} tokens sent, {} clients left early",
        stats.requests, stats.connections, stats.peak_in_flight, stats.tokens_sent, stats.left
    );
    Ok(())
}
