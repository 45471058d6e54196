//! `print!` without a flush keeps what it has until a line ends, and an answer may be one long line. Who
//! streams to a terminal has it: the tokens come one by one, and are seen in one lump. Flush each.

use std::io::{self, LineWriter, Write};

use crate::Both;

// ANCHOR: wrong
/// Standard output keeps the token for the end of the line.
pub fn wrong(out: &mut impl Write, token: &str) -> io::Result<()> {
    write!(out, "{token}")
}
// ANCHOR_END: wrong

// ANCHOR: right
/// The token is seen now.
pub fn right(out: &mut impl Write, token: &str) -> io::Result<()> {
    write!(out, "{token}")?;
    out.flush()
}
// ANCHOR_END: right

/// A terminal as Rust sees it, and what has reached it.
type Terminal = LineWriter<Vec<u8>>;

fn shown(half: fn(&mut Terminal, &str) -> io::Result<()>) -> String {
    let mut terminal = LineWriter::new(Vec::new());
    for token in ["Once", " upon", " a"] {
        half(&mut terminal, token).expect("memory takes it");
    }
    String::from_utf8_lossy(terminal.get_ref()).into_owned()
}

pub(crate) fn both() -> Both {
    let tell = |shown: &String| format!("after three tokens the screen shows {shown:?}");
    Both::of(
        shown(wrong),
        shown(right),
        |shown| shown == "Once upon a",
        tell,
    )
}
