//! HTTP/1.1 by hand, as much as a simulator of broken servers needs: requests are read whole, heads are written.
//!
//! A framework would be the choice for an honest server. This one must send heads byte by byte, lengths that
//! lie, chunks cut in the middle and replies without any framing, all of which a framework exists to prevent.

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request that has been read to its end.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// By lower-case name; repeated ones are joined with a comma.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    /// Whether the client wants to use the connection again.
    pub(crate) keep_alive: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The connection ended, which between two requests is how connections end.
    Closed,
    /// This status and sentence should be sent before closing.
    Bad(u16, &'static str),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

const LONGEST_HEAD: usize = 64 * 1024;
const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// Reads the next request. Bytes that belong to the one after it stay in `buffer`.
pub(crate) async fn read(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<Request, ReadError> {
    let mut request = loop {
        if let Some(request) = parse_head(buffer)? {
            break request;
        }
        if buffer.len() > LONGEST_HEAD {
            return Err(ReadError::Bad(431, "the request head is too long"));
        }
        more(stream, buffer).await?;
    };
    if request
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = if request
        .header("transfer-encoding")
        .is_some_and(|value| value.ends_with("chunked"))
    {
        read_chunked(stream, buffer).await?
    } else if let Some(length) = request.header("content-length") {
        let length = length
            .parse()
            .map_err(|_| ReadError::Bad(400, "content-length is not a number"))?;
        read_exactly(stream, buffer, length).await?
    } else {
        Bytes::new()
    };
    Ok(request)
}

fn parse_head(buffer: &mut BytesMut) -> Result<Option<Request>, ReadError> {
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut slots);
    let length = match head.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ReadError::Bad(400, "this is not an HTTP/1.1 request")),
    };
    if length > LONGEST_HEAD {
        return Err(ReadError::Bad(431, "the request head is too long"));
    }
    let mut headers = BTreeMap::<String, String>::new();
    for header in head.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let all = headers.entry(header.name.to_ascii_lowercase()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    let connection = headers.get("connection").map_or("", String::as_str);
    let asks_to = |what: &str| {
        connection
            .split(',')
            .any(|option| option.trim().eq_ignore_ascii_case(what))
    };
    let path = head.path.unwrap_or_default();
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.split('?').next().unwrap_or_default().to_owned(),
        keep_alive: if head.version == Some(1) {
            !asks_to("close")
        } else {
            asks_to("keep-alive")
        },
        headers,
        body: Bytes::new(),
    };
    buffer.advance(length);
    Ok(Some(request))
}

async fn more(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<(), ReadError> {
    buffer.reserve(8 * 1024);
    match stream.read_buf(buffer).await? {
        0 => Err(ReadError::Closed),
        _ => Ok(()),
    }
}

async fn read_exactly(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    length: usize,
) -> Result<Bytes, ReadError> {
    if length > LONGEST_BODY {
        return Err(ReadError::Bad(413, "the request body is too long"));
    }
    while buffer.len() < length {
        more(stream, buffer).await?;
    }
    Ok(buffer.split_to(length).freeze())
}

async fn read_chunked(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    loop {
        match httparse::parse_chunk_size(buffer) {
            Ok(httparse::Status::Complete((line, 0))) => {
                buffer.advance(line);
                // Trailers, which nobody here sends, end like a head: with an empty line.
                loop {
                    if buffer.starts_with(b"\r\n") {
                        buffer.advance(2);
                        return Ok(body.freeze());
                    }
                    match buffer.windows(2).position(|pair| pair == b"\r\n") {
                        Some(end) => buffer.advance(end + 2),
                        None if buffer.len() > LONGEST_HEAD => {
                            return Err(ReadError::Bad(431, "trailers too long"));
                        }
                        None => more(stream, buffer).await?,
                    }
                }
            }
            Ok(httparse::Status::Complete((line, size))) => {
                buffer.advance(line);
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                if size > LONGEST_BODY - body.len() {
                    return Err(ReadError::Bad(413, "the request body is too long"));
                }
                body.extend_from_slice(&read_exactly(stream, buffer, size).await?);
                read_exactly(stream, buffer, 2).await?;
            }
            Ok(httparse::Status::Partial) => more(stream, buffer).await?,
            Err(_) => return Err(ReadError::Bad(400, "a chunk size is not a number")),
        }
    }
}

/// A response head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Head {
    /// Sets a header, replacing the one of this name.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

/// A value as JSON text, its fields in the order in which the type names them.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .expect("these types have no map keys but strings, which is all that can fail")
}

/// A value as a JSON body, its fields in the order in which the type names them.
pub(crate) fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("these types have no map keys but strings, which is all that can fail")
}
