//! `cargo xtask test` with its Redis server, where every program that it starts is played by
//! `fake.sh`: no network, and nothing of this machine changes.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

/// A machine on which only these programs are installed.
struct Machine {
    folder: PathBuf,
}

impl Machine {
    fn with(test: &str, programs: &[&str]) -> Machine {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).expect("it is ours");
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake.sh");
        for program in programs.iter().chain(&["cargo", "fake"]) {
            symlink(&fake, bin.join(program)).expect("the folder is new");
        }
        for program in ["sh", "env", "ln", "rm", "sleep", "true"] {
            symlink(real(program), bin.join(program)).expect("the folder is new");
        }
        Machine { folder }
    }

    /// `cargo xtask test` as root, where a package manager installs what it is told to.
    fn xtask_test(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .arg("test")
            .env("CARGO", self.folder.join("bin/cargo"))
            .env("PATH", self.folder.join("bin"))
            .env("FAKE", &self.folder)
            .env("FAKE_INSTALLS", "yes")
            .env("FAKE_USER", "0")
            .env("FAKE_SUDO", "no")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.join("calls")).expect("cargo was called");
        calls.lines().map(String::from).collect()
    }

    /// A pipe that ends when the server does.
    fn alive(&self) -> PathBuf {
        let pipe = self.folder.join("alive");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo is here").success());
        pipe
    }
}

/// Waits for the server's end, by its pipe. Left behind, it would end by itself after ten minutes.
fn ends(mut alive: File) {
    let (told, heard) = mpsc::channel();
    thread::spawn(move || told.send(alive.read_to_end(&mut Vec::new())));
    let read = heard.recv_timeout(LONG).expect("the server ends");
    read.expect("the pipe has an end");
}

fn real(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("there is one");
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .expect("every system has it")
}

/// Lets the tests end with this exit code.
fn finish(mut xtask: Child, code: &str) -> Output {
    // Without a server it never comes to tests, and nobody reads this.
    let _ = writeln!(xtask.stdin.take().expect("it is piped"), "{code}");
    xtask.wait_with_output().expect("it is ours")
}

fn run(mut xtask: Command, code: &str) -> Output {
    finish(xtask.spawn().expect("it was built"), code)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_tests_get_a_server_of_their_own_and_the_feature() {
    let machine = Machine::with("found", &["redis-server", "apt-get"]);
    let output = run(machine.xtask_test(), "0");
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let [metadata, server, test] = &machine.calls()[..] else {
        panic!("nothing is installed: {:?}", machine.calls());
    };
    assert!(metadata.starts_with("cargo metadata"), "{metadata}");
    let port = server.split(' ').nth(4).expect("it has arguments");
    assert_eq!(
        server.split(" --dir").next(),
        Some(&*format!(
            "redis-server --bind 127.0.0.1 --port {port} --save  --appendonly no --daemonize no"
        ))
    );
    assert_eq!(test, "cargo test --locked --features caching/redis-tests");
    let program = machine.folder.join("bin/redis-server");
    let variables = format!(
        "REDIS_URL=redis://127.0.0.1:{port} REDIS_SERVER={}\n",
        program.display()
    );
    assert!(stdout.starts_with(&variables), "{stdout}");
    assert!(stdout.contains("All tests passed in "), "{stdout}");
}

#[test]
fn the_server_ends_with_the_tests_also_when_they_fail() {
    for code in ["0", "101"] {
        let machine = Machine::with(&format!("ends-{code}"), &["redis-server"]);
        let pipe = machine.alive();
        let mut xtask = machine.xtask_test();
        let xtask = xtask.spawn().expect("it was built");
        let alive = File::open(pipe).expect("the server opens it too");
        let output = finish(xtask, code);
        assert_eq!(output.status.success(), code == "0");
        ends(alive);
    }
}

#[test]
fn the_server_ends_with_xtask_by_whatever_signal() {
    // Not INT and HUP, which end it in the same way: whoever is started in the background or by nohup
    // ignores them, and so does all that it starts. A closed terminal signals all of the group, also
    // whoever is to end the server.
    for (signal, to_group) in [("TERM", false), ("KILL", false), ("TERM", true)] {
        let name = format!("signal-{signal}-{to_group}");
        let machine = Machine::with(&name, &["redis-server"]);
        let pipe = machine.alive();
        let mut xtask = machine.xtask_test();
        // A group of its own: this test is to live on.
        let mut xtask = xtask.process_group(0).spawn().expect("it was built");
        let alive = File::open(pipe).expect("the server opens it too");
        // Only when the tests run has xtask nothing more to start.
        let stdout = xtask.stdout.take().expect("it is piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line).expect("the tests print");

        let group = if to_group { "-" } else { "" };
        let kill = format!("kill -s {signal} -- {group}{}", xtask.id());
        let killed = Command::new("sh").args(["-c", &kill]).status();
        assert!(killed.expect("sh is here").success());
        ends(alive);
        let output = finish(xtask, "0");
        assert!(output.status.signal().is_some(), "{name}: {output:?}");
    }
}

#[test]
fn another_port_is_tried_when_one_is_lost_to_another_program() {
    let machine = Machine::with("taken", &["redis-server"]);
    fs::write(machine.folder.join("taken"), "").expect("it is ours");
    let output = run(machine.xtask_test(), "0");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = machine.calls();
    let starts = calls.iter().filter(|call| call.starts_with("redis-server"));
    assert_eq!(starts.count(), 2);
}

#[test]
fn a_server_that_does_not_start_is_an_error_in_its_own_words() {
    let machine = Machine::with("broken", &["redis-server"]);
    fs::write(machine.folder.join("broken"), "").expect("it is ours");
    let output = run(machine.xtask_test(), "0");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.ends_with("did not start: Bad directive or wrong number of arguments\n"),
        "{stderr}"
    );
}

/// Where the server is missing: what is installed how, and whether the tests run then.
#[test]
fn a_missing_server_is_installed_with_the_rights_that_are_there() {
    struct Case {
        name: &'static str,
        programs: &'static [&'static str],
        user: &'static str,
        sudo: &'static str,
        /// What the package manager is told.
        installs: &'static [&'static str],
    }
    /// The lists of a fresh image are empty.
    const APT: &[&str] = &["apt-get update", "apt-get install --yes redis-server"];
    const BREW: &[&str] = &["brew install redis"];
    #[rustfmt::skip] // A row each.
    let cases = [
        Case { name: "apt-root", programs: &["apt-get", "id"], user: "0", sudo: "no", installs: APT },
        Case { name: "apt-sudo", programs: &["apt-get", "id", "sudo"], user: "1000", sudo: "yes", installs: APT },
        Case { name: "dnf-root", programs: &["dnf", "id"], user: "0", sudo: "no", installs: &["dnf install --assumeyes redis"] },
        Case { name: "brew", programs: &["brew", "id", "sudo"], user: "501", sudo: "no", installs: BREW },
        Case { name: "brew-beside-apt", programs: &["apt-get", "brew", "id"], user: "1000", sudo: "no", installs: BREW },
        Case { name: "none", programs: &["id"], user: "0", sudo: "no", installs: &[] },
        Case { name: "no-rights", programs: &["apt-get", "dnf", "id", "sudo"], user: "1000", sudo: "no", installs: &[] },
        Case { name: "brew-root", programs: &["brew", "id"], user: "0", sudo: "no", installs: &[] },
    ];
    for case in cases {
        let machine = Machine::with(&format!("install-{}", case.name), case.programs);
        let mut xtask = machine.xtask_test();
        xtask
            .env("FAKE_USER", case.user)
            .env("FAKE_SUDO", case.sudo);
        let output = run(xtask, "0");
        let (stderr, calls) = (text(&output.stderr), machine.calls());
        let of_manager = |call: &&String| {
            let managers = ["apt-get ", "dnf ", "brew "];
            managers.iter().any(|manager| call.starts_with(manager))
        };
        let installed: Vec<_> = calls.iter().filter(of_manager).collect();
        assert_eq!(installed, case.installs, "{}", case.name);
        let tested = calls.iter().any(|call| call.starts_with("cargo test"));
        match case.installs {
            [] => {
                assert_eq!(
                    (output.status.code(), tested),
                    (Some(1), false),
                    "{}",
                    case.name
                );
                assert!(
                    stderr.starts_with(
                        "error: the tests of pattern 6 need the program `redis-server`"
                    ) && stderr.contains("sudo apt-get install redis-server"),
                    "{stderr}"
                );
            }
            _ => assert!(tested && output.status.success(), "{}: {stderr}", case.name),
        }
    }
}

#[test]
fn an_installation_that_fails_is_named_with_what_to_do() {
    let machine = Machine::with("failing", &["apt-get", "id"]);
    let mut xtask = machine.xtask_test();
    let output = run(
        {
            xtask.env("FAKE_INSTALLS", "no");
            xtask
        },
        "0",
    );
    let stderr = text(&output.stderr);
    let error = stderr.lines().last().expect("it says something");
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "`env DEBIAN_FRONTEND=noninteractive apt-get install --yes redis-server` failed",
        "sudo apt-get install redis-server",
        "`cargo test`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
