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
    Client::connect(address)?.ask("GET", target, "Connection: close\r\n", "")
}

/// `POST`, as an operator does it: with the header without which the admin port changes nothing.
pub fn post(address: SocketAddr, target: &str, body: &str) -> io::Result<Answer> {
    Client::connect(address)?.ask("POST", target, &format!("{HEADER}: 1\r\nx-debug: 1\r\nConnection: close\r\n"), body)
}

/// A keep-alive connection for one question after the other.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
    host: String,
}

impl Client {
    /// To this address.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        Ok(Client::over(stream(address)?, &address.to_string()))
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
        Client { stream: BufReader::new(stream), host: host.to_owned() }
    }

    /// Sends a request and reads its answer. `fields` end each with CRLF.
    pub fn ask(&mut self, method: &str, target: &str, fields: &str, body: &str) -> io::Result<Answer> {
        let (host, length) = (&self.host, body.len());
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n");
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
        let body = match answer.header("content-length").map(str::parse) {
            _ if status == 204 => Vec::new(),
            Some(length) => {
                let mut body = vec![0; length.map_err(|_| unreadable())?];
                self.stream.read_exact(&mut body)?;
                body
            }
            // Pages of the admin port may come in chunks; ours are short, and it says their length.
            None => return Err(unreadable()),
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }
}
