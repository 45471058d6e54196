//! The `ai-mock` program.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use ai_mock::Script;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ai-mock"));
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> (Output, String) {
    let output = program(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    (output, error)
}

/// A running program, ended when the test is.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_line_is_the_address_and_ctrl_c_ends_it_cleanly() {
    let flags = "--port 0 --latency 1ms --service-latency embedding=2ms --first-token 1ms..2ms --tokens-per-second 1000 \
                 --slots 4 --failure-rate 0x500,0xreset --fail-first 1x500 --rpm 60 --tpm 90000 --window 60s --api-key k --script cr \
                 --service-script summary=html-502 --answer-tokens 9 --tokens-per-write 3 --stamp-tokens";
    let mut running = Running(
        program(&flags.split_whitespace().collect::<Vec<_>>())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .and_then(|rest| rest.strip_suffix("/v1\n"))
        .unwrap();
    std::net::TcpStream::connect(address).unwrap();

    // Windows has no signal to send from outside without a console of one's own.
    if cfg!(unix) {
        let kill = Command::new("kill")
            .args(["-INT", &running.0.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
        let mut error = String::new();
        running
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .unwrap();
        assert!(
            error.contains("OPENAI_BASE_URL=http://") && error.contains("/_mock/log"),
            "{error}"
        );
        assert!(
            error
                .trim_end()
                .lines()
                .last()
                .unwrap()
                .starts_with("0 requests"),
            "{error}"
        );
    }
}

#[test]
fn wrong_flags_are_refused_with_what_is_allowed() {
    for (flags, allowed) in [
        (["--latency", "soon"], "lognormal"),
        (["--script", "chaos"], "reset-mid-chunk"),
        (["--failure-rate", "2"], "0 to 1"),
        (["--service-latency", "poetry=1s"], "entities"),
        (["--service-script", "summary=chaos"], "reset-mid-chunk"),
        (["--service-script", "cr"], "service, = and"),
        (["--window", "0s"], "longer than 0"),
        (["--slots", "0"], "from 1"),
        (["--tokens-per-second", "0"], "above 0"),
        (["--fail-first", "often"], "always"),
    ] {
        let (output, error) = run(&flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(error.contains(allowed), "{flags:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, error) = run(&["--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.lines().count() == 1 && error.contains(&port),
        "{error}"
    );
}

#[test]
fn all_scripts_are_listed_with_what_they_do() {
    let (output, _) = run(&["--scripts"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(text.lines().count(), Script::ALL.len());
    assert!(
        Script::ALL
            .iter()
            .all(|script| text.contains(script.name()) && text.contains(script.about()))
    );
}
