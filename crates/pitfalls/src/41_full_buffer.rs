//! A reader that fills its buffer before it hands anything out makes a stream a download. `read_exact`
//! has it, and the guide's `iter_lines`, with 512 bytes. Take what is there.

use std::io::{self, Read};

use crate::Both;

// ANCHOR: wrong
/// 512 bytes, however long that takes.
pub fn wrong(body: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; 512];
    body.read_exact(&mut piece)?;
    Ok(piece)
}
// ANCHOR_END: wrong

// ANCHOR: right
/// What has arrived, at most 512 bytes of it.
pub fn right(body: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; 512];
    let length = body.read(&mut piece)?;
    piece.truncate(length);
    Ok(piece)
}
// ANCHOR_END: right

/// A body whose tokens come one by one.
struct Tokens(u32);

impl Read for Tokens {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut token = &b"data: {...}\n\n..."[..];
        self.0 += 1;
        token.read(buffer)
    }
}

fn tokens(half: fn(&mut Tokens) -> io::Result<Vec<u8>>) -> u32 {
    let mut body = Tokens(0);
    half(&mut body).expect("memory can be read");
    body.0
}

pub(crate) fn both() -> Both {
    let tell =
        |tokens: &u32| format!("the first token is seen after reads of the network: {tokens}");
    Both::of(tokens(wrong), tokens(right), |tokens| *tokens == 1, tell)
}
