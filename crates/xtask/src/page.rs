//! `cargo xtask page`: tests the chat page of pattern 4 in a real browser.

use std::process::Command;

use crate::workspace::Workspace;
use crate::{Result, cargo, is_installed, run as run_command};

/// The browsers that speak Chromium's DevTools protocol, by the names that packages give them.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The last line is Debian's package, and a font: without one there is nothing to see on its pictures.
const INSTALL: &str = r#"[ "$(id -u)" = 0 ] || sudo="sudo -n"
$sudo apt-get update
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium fonts-liberation"#;

/// Runs the tests that drive a browser; installs one where it is missing.
///
/// # Errors
/// When a test fails, or there is no browser and no way to get one.
pub fn run(workspace: &Workspace) -> Result {
    let browser = match browser() {
        Some(browser) => browser,
        None => {
            run_command(Command::new("sh").args(["-c", INSTALL]))
                .map_err(|error| format!("{error}; install chromium, and run this again"))?;
            browser().ok_or("chromium is installed, and does not start")?
        }
    };
    let test = "test --locked -p streaming --features browser-tests --test page";
    run_command(
        cargo()
            .args(test.split(' '))
            .env("CHROMIUM", browser)
            .current_dir(&workspace.root),
    )
}

/// The first that is here: what `CHROMIUM` names, or one on the PATH.
fn browser() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok();
    let known = BROWSERS.map(str::to_owned);
    named
        .into_iter()
        .chain(known)
        .find(|browser| is_installed(browser))
}
