//! One question over HTTP, as an operator, a scraper or an exchange with a notice asks it: slowly, on a connection of its own.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
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
    Client::once(address)?.ask("GET", target, "", "")
}

/// `POST`, as an operator does it: with the header without which the admin port changes nothing.
pub fn post(address: SocketAddr, target: &str, body: &str) -> io::Result<Answer> {
    Client::once(address)?.ask("POST", target, &format!("{HEADER}: 1\r\nx-debug: 1\r\n"), body)
}

/// A connection for one question after the other.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
    host: String,
    version: &'static str,
}

impl Client {
    /// To this address.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Ok(Client::over(stream(address)?, &address.to_string()))
    }

    /// For one question, in HTTP/1.0: no answer comes in chunks then, and the connection ends with it.
    fn once(address: SocketAddr) -> io::Result<Client> {
        Ok(Client { version: "1.0", ..Client::connect(address)? })
    }
}

/// A connection to be spoken over, with a time for each read and write.
pub fn stream(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl<S: Read + Write> Client<S> {
    /// Over a connection that is there.
    pub fn over(stream: S, host: &str) -> Client<S> {
        Client { stream: BufReader::new(stream), host: host.to_owned(), version: "1.1" }
    }

    /// Sends a request and reads its answer. `fields` end each with CRLF.
    pub fn ask(&mut self, method: &str, target: &str, fields: &str, body: &str) -> io::Result<Answer> {
        let (host, version, length) = (&self.host, self.version, body.len());
        let head =
            format!("{method} {target} HTTP/{version}\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        stream.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        head.truncate(head.len() - 4);
        let unreadable = || io::Error::new(ErrorKind::InvalidData, "this is no answer in HTTP");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(unreadable)?;
        let mut answer = Answer { status, head, body: String::new() };
        let mut body = Vec::new();
        match answer.header("content-length").map(str::parse) {
            _ if status == 204 => {}
            Some(length) => {
                body.resize(length.map_err(|_| unreadable())?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None if self.version == "1.0" => drop(self.stream.read_to_end(&mut body)?),
            None => return Err(unreadable()),
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }
}
