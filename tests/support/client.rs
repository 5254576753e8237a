//! An HTTP client that hides nothing: one connection, bytes out, an answer in.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// One keep-alive connection.
#[derive(Debug)]
pub struct Client<S = TcpStream>(BufReader<S>);

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn reason(&self) -> Option<&str> {
        self.field("x-nobid-reason")
    }

    /// Whether there is no bid because a busy machine came to it too late; without a reason, a bid was withdrawn at the last moment.
    pub fn came_late(&self) -> bool {
        self.status == 204 && matches!(self.reason(), None | Some("shed" | "stalled" | "late"))
    }

    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The bid response.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::PATIENCE))?;
        Ok(Client::over(stream))
    }
}

impl<S: Read + Write> Client<S> {
    /// Over a connection that there is.
    pub fn over(stream: S) -> Client<S> {
        Client(BufReader::new(stream))
    }

    /// The connection.
    pub fn stream(&mut self) -> &mut S {
        self.0.get_mut()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next answer; an error if the connection ends before it does.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("no field: {line:?}")))?;
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, fields, body: Vec::new() };
        match answer.field("content-length").map(|length| length.parse::<usize>()) {
            _ if status == 204 => assert!(answer.field("content-length").is_none(), "a 204 with a length"),
            Some(length) => {
                answer.body.resize(length.map_err(io::Error::other)?, 0);
                self.0.read_exact(&mut answer.body)?;
            }
            None => return Err(io::Error::other(format!("a {status} without a length"))),
        }
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = line.strip_suffix("\r\n").ok_or_else(|| io::Error::other(format!("a bare newline: {line:?}")))?;
        Ok(end.to_owned())
    }

    /// Sends one request and reads its answer; both must succeed.
    #[track_caller]
    pub fn ask(&mut self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        self.send(&http(method, target, fields, body)).expect("the connection takes a request");
        self.answer().expect("every request is answered")
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .expect("the connection takes a request");
        self.answer().expect("every request is answered")
    }

    /// A bid request, as an exchange sends it. Where the bidder tells that it was given up unread, as happens on a busy machine, it is
    /// sent again: that leaves no trace but its counters.
    #[track_caller]
    pub fn bid(&mut self, body: &[u8]) -> Answer {
        for _ in 0..200 {
            let mut answer = self.ask("POST", "/openrtb/generic", "x-debug: 1\r\n", body);
            if !matches!(answer.reason(), Some("shed" | "stalled")) {
                answer.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("x-nobid-reason"));
                return answer;
            }
        }
        panic!("200 requests were all given up");
    }

    /// A bid request that wants to know why not. What came too late on a busy machine is asked again; so is, a few times, what
    /// got no reason, which is a bid that was withdrawn at the last moment, or a bidder that tells none.
    #[track_caller]
    pub fn debug(&mut self, body: &[u8]) -> Answer {
        for attempt in 0..200 {
            let answer = self.ask("POST", "/openrtb/generic", "x-debug: 1\r\n", body);
            let gives_up = answer.reason().is_none() && attempt >= 20;
            if !answer.came_late() || gives_up {
                return answer;
            }
        }
        panic!("200 requests were all too late");
    }
}

/// One request as bytes; `fields` end each with CRLF.
pub fn http(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// What an exchange calls: the path of a notice URL, with a price in the macro's place.
#[track_caller]
pub fn target(url: &str, price: &str) -> String {
    let rest = url.strip_prefix("http://").expect("a notice URL with its scheme");
    let path = &rest[rest.find('/').expect("a path")..];
    assert!(path.contains("${AUCTION_PRICE}"), "{url} does not ask for the price");
    path.replace("${AUCTION_PRICE}", price)
}
