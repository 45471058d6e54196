//! A Chromium for tests, driven by its own DevTools protocol.
//!
//! The crates for it bring the whole protocol as generated code, or need a second program in between;
//! every `cargo test` here would build them. What these tests need is eight commands, as JSON over two
//! pipes: no port that has to be found, and a browser that ends when the pipes close.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// For what is sure to happen. Only a failing test waits as long as this.
const LONG: Duration = Duration::from_secs(30);

/// A running browser without windows. It ends with this value, and with this process.
pub(crate) struct Chromium {
    process: Child,
    commands: RefCell<Option<ChildStdin>>,
    answers: Receiver<Value>,
    last_id: Cell<u64>,
    /// What the pages have complained of: errors, and what their policy forbids.
    complaints: RefCell<Vec<String>>,
    profile: PathBuf,
}

impl Chromium {
    /// Starts the program that `CHROMIUM` names, else `chromium`.
    pub(crate) fn start(name: &str) -> Chromium {
        let program = env::var_os("CHROMIUM").unwrap_or(OsString::from("chromium"));
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{name}"));
        // What an earlier run that was killed has left behind.
        let _ = fs::remove_dir_all(&profile);
        let mut command = Command::new("sh");
        // It reads commands from descriptor 3 and answers on 4. The standard library can't hand those
        // on without unsafe code, and a shell can.
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh"]);
        command.arg(&program);
        command.args(["--headless", "--remote-debugging-pipe", "--no-first-run"]);
        // The sandbox needs rights that a container seldom has. Only our own page is opened.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        // It shall call nobody, and not slow down a tab because another is in front.
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
        ]);
        command.args([
            "--disable-background-timer-throttling",
            "--disable-renderer-backgrounding",
        ]);
        command
            .arg("--no-proxy-server")
            .arg(format!("--user-data-dir={}", profile.display()));
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let commands = RefCell::new(process.stdin.take());
        let stdout = process.stdout.take().expect("it is piped");
        let (sender, answers) = channel();
        // A thread reads, so that a browser that hangs fails a test instead of hanging it.
        thread::spawn(move || {
            let messages = BufReader::new(stdout).split(0).map_while(Result::ok);
            for message in messages {
                let message = serde_json::from_slice(&message).expect("it speaks JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let chromium = Chromium {
            process,
            commands,
            answers,
            last_id: Cell::default(),
            complaints: RefCell::default(),
            profile,
        };
        let version = chromium.command(None, "Browser.getVersion", json!({}));
        let version = version.unwrap_or_else(|error| {
            panic!("{} does not answer: {error}", program.display());
        });
        println!("{}", version["product"]);
        chromium
    }

    /// A new tab with this page, which is there and has started.
    pub(crate) fn open(&self, url: &str) -> Tab<'_> {
        let target = self.command(None, "Target.createTarget", json!({"url": url}));
        let target = target.expect("a tab can be opened");
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.command(None, "Target.attachToTarget", attach);
        let session = attached.expect("it is there")["sessionId"].clone();
        let tab = Tab {
            chromium: self,
            session,
        };
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            tab.command(domain, json!({}));
        }
        // Each tab believes that it is the one in front, or its keys would go nowhere.
        tab.command(
            "Emulation.setFocusEmulationEnabled",
            json!({"enabled": true}),
        );
        tab.until(&format!(
            "document.readyState == 'complete' && location.href.startsWith({url:?})"
        ));
        tab
    }

    /// What the pages have complained of so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.borrow().clone()
    }

    /// Sends a command and waits for its answer.
    fn command(
        &self,
        session: Option<&Value>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, String> {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            command["sessionId"] = session.clone();
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        let mut commands = self.commands.borrow_mut();
        let sent = commands.as_mut().map(|commands| commands.write_all(&text));
        sent.expect("it is open")
            .map_err(|error| error.to_string())?;
        loop {
            let answer = self.answers.recv_timeout(LONG);
            let mut answer = answer.map_err(|error| format!("{method}: {error}"))?;
            if answer["id"] == id {
                return match answer["error"].take() {
                    Value::Null => Ok(answer["result"].take()),
                    error => Err(format!("{method}: {error}")),
                };
            }
            self.hear(&answer);
        }
    }

    /// Takes down what a page complains of.
    fn hear(&self, event: &Value) {
        let parameters = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => &parameters["exceptionDetails"],
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                &parameters["entry"]
            }
            _ => return,
        };
        self.complaints.borrow_mut().push(complaint.to_string());
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It ends by itself when nobody can command it any more.
        self.commands.borrow_mut().take();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// A tab of a browser.
pub(crate) struct Tab<'a> {
    chromium: &'a Chromium,
    session: Value,
}

impl Tab<'_> {
    fn command(&self, method: &str, parameters: Value) -> Value {
        let answer = self
            .chromium
            .command(Some(&self.session), method, parameters);
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What an expression is in the page.
    pub(crate) fn value(&self, expression: &str) -> Value {
        self.try_value(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_value(&self, expression: &str) -> Result<Value, String> {
        let evaluate =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer =
            self.chromium
                .command(Some(&self.session), "Runtime.evaluate", evaluate)?;
        match answer["exceptionDetails"].take() {
            Value::Null => Ok(answer["result"]["value"].take()),
            exception => Err(exception.to_string()),
        }
    }

    /// Waits until an expression is true in the page, which may still be on its way.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        let deadline = Instant::now() + LONG;
        while self.try_value(expression) != Ok(true.into()) {
            if Instant::now() > deadline {
                let page = self.try_value("document.body.innerText");
                panic!("it never came to be that {expression}; the page says {page:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Loads the page anew.
    pub(crate) fn reload(&self) {
        self.value("window.old = true");
        self.command("Page.reload", json!({}));
        self.until("!window.old && document.readyState == 'complete'");
    }

    /// Writes where the focus is, as from a keyboard.
    pub(crate) fn write(&self, text: &str) {
        self.command("Input.insertText", json!({"text": text}));
    }

    /// Presses a key: `Enter`, `Shift+Enter`, `Escape` or `Tab`.
    pub(crate) fn press(&self, key: &str) {
        let (name, code, text) = match key {
            "Enter" | "Shift+Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            "Tab" => ("Tab", 9, ""),
            _ => panic!("{key} is not among the keys"),
        };
        let modifiers = if key.starts_with("Shift+") { 8 } else { 0 };
        let event = |kind: &str, text: &str| {
            json!({"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code,
                "modifiers": modifiers, "text": text})
        };
        self.command("Input.dispatchKeyEvent", event("keyDown", text));
        self.command("Input.dispatchKeyEvent", event("keyUp", ""));
    }

    /// Clicks into the middle of what a selector finds, so it must be in sight.
    pub(crate) fn click(&self, selector: &str) {
        let place = format!(
            "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])\
             (document.querySelector({selector:?}).getBoundingClientRect())"
        );
        let place = self.value(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.command("Input.dispatchMouseEvent", event);
        }
    }

    /// Makes the window so large, on a phone or not, and light or dark.
    pub(crate) fn look(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// What a screen reader is told: role, name and live setting of everything in the page.
    pub(crate) fn accessible(&self) -> Vec<(String, String, String)> {
        let tree = self.command("Accessibility.getFullAXTree", json!({}));
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let nodes = tree["nodes"].as_array().expect("it is a list").iter();
        let seen = nodes.filter(|node| node["ignored"] == false);
        seen.map(|node| {
            let properties = node["properties"].as_array().into_iter().flatten();
            let live = properties
                .clone()
                .find(|property| property["name"] == "live");
            let live = live
                .map(|property| text(&property["value"]))
                .unwrap_or_default();
            (text(&node["role"]), text(&node["name"]), live)
        })
        .collect()
    }

    /// Takes a picture, for people to look at: `target/tmp/NAME.png`.
    pub(crate) fn picture(&self, name: &str) {
        let picture = self.command("Page.captureScreenshot", json!({}));
        let picture = picture["data"].as_str().expect("it is base64");
        let picture = BASE64_STANDARD.decode(picture).expect("it is base64");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        fs::write(file, picture).expect("a file can be written");
    }
}
