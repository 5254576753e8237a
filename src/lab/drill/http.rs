//! One question over HTTP, as an operator, a scraper or an exchange with a notice asks it: slowly, on a connection of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::admin::operator::HEADER;

/// A bidder in trouble is given this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, without the empty line at its end.
    pub head: String,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The value of a header with this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Why there is no bid, where the bidder tells.
    pub fn reason(&self) -> &str {
        self.header("x-nobid-reason").unwrap_or("")
    }

    /// The body, if it is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// `GET`.
pub fn get(address: SocketAddr, target: &str) -> io::Result<Answer> {
    ask(address, "GET", target, "", "")
}

/// `POST`, as an operator does it: with the header without which the admin port changes nothing.
pub fn post(address: SocketAddr, target: &str, body: &str) -> io::Result<Answer> {
    ask(address, "POST", target, &format!("{HEADER}: 1\r\nx-debug: 1\r\n"), body)
}

fn ask(address: SocketAddr, method: &str, target: &str, fields: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0, so that no answer comes in chunks and its end is the connection's.
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.0\r\nHost: {address}\r\n{fields}Content-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    read(&answer).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "this is no answer in HTTP"))
}

fn read(answer: &[u8]) -> Option<Answer> {
    let head = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&answer[..head]).ok()?, &answer[head + 4..]);
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: String::from_utf8_lossy(body).into_owned() })
}
