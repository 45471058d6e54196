//! A connection to the cache for each lookup takes longer than the lookup. It is the guide's
//! `create_redis_pool` inside the call. Open one, and keep it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::Both;

// ANCHOR: wrong
/// 20 handshakes.
pub fn wrong(store: SocketAddr) -> io::Result<()> {
    for key in 0..20 {
        get(&mut TcpStream::connect(store)?, key)?;
    }
    Ok(())
}
// ANCHOR_END: wrong

// ANCHOR: right
/// One. (Pattern 6 keeps a manager, which connects again after a restart of the store.)
pub fn right(store: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect(store)?;
    for key in 0..20 {
        get(&mut connection, key)?;
    }
    Ok(())
}
// ANCHOR_END: right

fn get(connection: &mut TcpStream, key: u32) -> io::Result<()> {
    connection.write_all(format!("GET {key}\n").as_bytes())?;
    connection.read_exact(&mut [0; "miss\n".len()])
}

/// A store that knows nothing and counts its connections.
fn serve(listener: &TcpListener) -> io::Result<u32> {
    let mut connections = 0;
    loop {
        let (stream, _) = listener.accept()?;
        for line in BufReader::new(&stream).lines() {
            if line? == "QUIT" {
                return Ok(connections);
            }
            (&stream).write_all(b"miss\n")?;
        }
        connections += 1;
    }
}

fn connections(half: fn(SocketAddr) -> io::Result<()>) -> io::Result<u32> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let store = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener));
    half(store)?;
    TcpStream::connect(store)?.write_all(b"QUIT\n")?;
    server.join().expect("it does not panic")
}

pub(crate) fn both() -> Both {
    let count = |half| connections(half).expect("127.0.0.1 can be reached");
    let tell = |connections: &u32| format!("20 lookups, connections: {connections}");
    Both::of(
        count(wrong),
        count(right),
        |connections| *connections == 1,
        tell,
    )
}
