//! A client that sees every byte, since those of well-behaved clients hide them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ai_mock::Mock;
use serde_json::{Value, json};

/// Long enough for the busiest machine; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A chat request for a prompt.
pub(crate) fn prompt(text: &str) -> Value {
    json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]})
}

/// The same, streamed, with usage.
pub(crate) fn streamed(text: &str) -> Value {
    let mut body = prompt(text);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    body
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A connection with one request under way.
pub(crate) struct Call {
    stream: TcpStream,
    pub(crate) bytes: Vec<u8>,
}

impl Call {
    /// Sends a POST; the connection closes after it.
    pub(crate) fn post(
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Self {
        Self::send(addr, "POST", path, headers, &body.to_string())
    }

    pub(crate) fn send(
        addr: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            text.push_str("authorization: Bearer sk-test\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(body);
        Self::raw(addr, text.as_bytes())
    }

    /// Sends these bytes.
    pub(crate) fn raw(addr: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(addr).expect("the mock listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout above zero is allowed");
        stream.write_all(bytes).expect("the mock reads");
        Self {
            stream,
            bytes: vec![],
        }
    }

    /// Reads on until the bytes so far contain this text.
    pub(crate) fn until(&mut self, text: &str) -> &mut Self {
        while !contains(&self.bytes, text.as_bytes()) {
            match self.more() {
                Ok(n) if n > 0 => {}
                end => panic!(
                    "{end:?} before {text:?} in {:?}",
                    String::from_utf8_lossy(&self.bytes)
                ),
            }
        }
        self
    }

    /// Reads to the end of the connection.
    pub(crate) fn finish(mut self) -> Reply {
        let end = loop {
            match self.more() {
                Ok(0) => break End::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.bytes)),
            }
        };
        Reply::new(&self.bytes, end)
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(n) => {
                    self.bytes.extend_from_slice(&buffer[..n]);
                    return Ok(n);
                }
                // On Linux a signal ends even a read that asked to be resumed, if it has a timeout.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A response, taken apart by the plainest means.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    /// Without the chunks' frames.
    pub(crate) body: Vec<u8>,
    /// Whether the body came to the end that its framing promised.
    pub(crate) whole: bool,
    pub(crate) end: End,
    /// Sizes of the chunks.
    pub(crate) chunks: Vec<usize>,
}

impl Reply {
    fn new(bytes: &[u8], end: End) -> Self {
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(split) = split else {
            let head = String::from_utf8_lossy(bytes).into_owned();
            return Self {
                head,
                body: vec![],
                whole: false,
                end,
                chunks: vec![],
            };
        };
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut rest = &bytes[split + 4..];
        let mut reply = Self {
            head,
            body: rest.to_vec(),
            whole: end == End::Closed,
            end,
            chunks: vec![],
        };
        if let Some(length) = reply.header("content-length") {
            reply.whole = length.parse() == Ok(rest.len());
        } else if reply.header("transfer-encoding").is_some() {
            reply.body.clear();
            reply.whole = false;
            while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
                let size = std::str::from_utf8(&rest[..line]).expect("sizes are ASCII");
                let size = usize::from_str_radix(size, 16).expect("sizes are hexadecimal");
                rest = &rest[line + 2..];
                if size == 0 {
                    reply.whole = rest == b"\r\n";
                    break;
                }
                reply.body.extend_from_slice(&rest[..size.min(rest.len())]);
                if rest.len() < size + 2 {
                    break;
                }
                reply.chunks.push(size);
                rest = &rest[size + 2..];
            }
        }
        reply
    }

    pub(crate) fn status(&self) -> u16 {
        self.head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("this body is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The data of the events of an ordinary stream.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text()
            .split("\n\n")
            .filter_map(|block| block.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }

    /// The contents of the deltas of an ordinary stream, put together.
    pub(crate) fn streamed_text(&self) -> String {
        let deltas = self
            .events()
            .into_iter()
            .filter_map(|data| serde_json::from_str::<Value>(&data).ok());
        deltas
            .filter_map(|chunk| {
                chunk["choices"][0]["delta"]["content"]
                    .as_str()
                    .map(str::to_owned)
            })
            .collect()
    }
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A chat call from start to end.
pub(crate) fn chat(mock: &Mock, headers: &[(&str, &str)], body: &Value) -> Reply {
    Call::post(mock.addr(), "/v1/chat/completions", headers, body).finish()
}

/// A call of any other kind.
pub(crate) fn call(mock: &Mock, method: &str, path: &str, body: &str) -> Reply {
    Call::send(mock.addr(), method, path, &[], body).finish()
}

/// The text of a plain chat reply.
pub(crate) fn content(reply: &Reply) -> String {
    let text = reply.json()["choices"][0]["message"]["content"]
        .as_str()
        .map(str::to_owned);
    text.unwrap_or_else(|| panic!("no content in {reply:?}"))
}
