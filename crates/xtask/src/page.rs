//! `cargo xtask page`: tests the chat page of pattern 4 in a real browser.

use crate::packages::{self, Package};
use crate::workspace::Workspace;
use crate::{Result, cargo, is_installed, run as run_command};

/// The browsers that speak Chromium's DevTools protocol, by the names that packages give them.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Debian's brings no font along, and without one there is nothing to see on a page.
const PACKAGE: Package = Package {
    apt_get: "chromium fonts-liberation",
    dnf: "chromium",
    brew: "--cask chromium",
    service: None,
};

/// Runs the tests that drive a browser; installs one where it is missing.
///
/// # Errors
/// When a test fails, or there is no browser and no way to get one.
pub fn run(workspace: &Workspace) -> Result {
    let browser = match browser() {
        Some(browser) => browser,
        None => {
            let failed = packages::install(&PACKAGE).err();
            let reason = failed.map_or("it does not start".into(), |error| error.to_string());
            browser().ok_or(format!(
                "the chat page is tested in a Chromium, and there is none: {reason}; install \
                 chromium, and run this again"
            ))?
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
