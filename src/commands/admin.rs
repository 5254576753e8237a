//! The admin port of a running bidder, as commands ask it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::admin::operator::{HEADER, Refusal};
use crate::commands::Failure;
use crate::lab::answer::{Parsed, parse};
use crate::lab::target::Target;

/// Where a bidder's admin port is by default.
pub(super) const DEFAULT: &str = "http://127.0.0.1:9090";
/// A bidder answers at once; one that does not in this time is not well.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of an answer, and the longest refusal, bytes.
const HEAD_BYTES: u64 = 16 * 1024;

/// The port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin<'a>(pub(super) &'a str);

impl Admin<'_> {
    /// Status and body of an answer.
    pub(super) fn get(self, path: &str) -> Result<(u16, Vec<u8>), Failure> {
        self.ask("GET", path)
    }

    /// Has something changed, and reads what was done.
    pub(super) fn post<Done: DeserializeOwned>(self, path: &str) -> Result<Done, Failure> {
        self.done("POST", path)
    }

    /// Reads how something stands.
    pub(super) fn read<Stands: DeserializeOwned>(self, path: &str) -> Result<Stands, Failure> {
        self.done("GET", path)
    }

    fn done<Done: DeserializeOwned>(self, method: &str, path: &str) -> Result<Done, Failure> {
        let (status, body) = self.ask(method, path)?;
        match (status, serde_json::from_slice::<Refusal>(&body)) {
            (200, _) => serde_json::from_slice(&body).map_err(|error| self.failed(&format!("it says {error}"))),
            (_, Ok(Refusal { error })) => Err(Failure::new(format!("{}: {error}", self.url()))),
            (status, Err(_)) => Err(self.failed(&format!("it answers {status} to {path}"))),
        }
    }

    /// Has something begun whose answer is long, and writes that to `out` as it comes. A bidder that is silent for longer than `patience`
    /// is not well.
    pub(super) fn pour(self, path: &str, body: &str, patience: Duration, out: &mut impl Write) -> Result<(), Failure> {
        let target = self.target(path)?;
        let failed = |error: io::Error| self.failed(&error.to_string());
        let mut stream = connect(&target, patience).map_err(failed)?;
        // In HTTP/1.0 no answer comes in chunks: it ends with the connection.
        let request = format!(
            "POST {} HTTP/1.0\r\nHost: {}\r\n{HEADER}: 1\r\nContent-Length: {}\r\n\r\n{body}",
            target.path,
            target.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let line = stream.by_ref().take(HEAD_BYTES).read_line(&mut head).map_err(failed)?;
            if line == 0 || head.len() as u64 > HEAD_BYTES {
                return Err(self.failed("this is no bidder's answer"));
            }
        }
        if head.split(' ').nth(1) == Some("200") {
            return io::copy(&mut stream, out).map(drop).map_err(failed);
        }
        let mut said = Vec::new();
        stream.take(HEAD_BYTES).read_to_end(&mut said).map_err(failed)?;
        match serde_json::from_slice::<Refusal>(&said) {
            Ok(Refusal { error }) => Err(Failure::new(format!("{}: {error}", self.url()))),
            Err(_) => {
                Err(self.failed(&format!("it answers {} to {path}", head.split(' ').nth(1).unwrap_or("nothing"))))
            }
        }
    }

    /// This is no bidder's admin port, or none that answers.
    pub(super) fn failed(self, why: &str) -> Failure {
        let url = self.url();
        Failure::new(format!("{url}: {why}; give the admin port of a running bidder (`server.admin`) with --admin"))
    }

    pub(super) fn url(&self) -> &str {
        self.0.trim_end_matches('/')
    }

    /// An address alone is meant as a URL, too.
    fn target(self, path: &str) -> Result<Target, Failure> {
        let scheme = if self.0.contains("://") { "" } else { "http://" };
        Target::parse(&format!("{scheme}{}{path}", self.url())).map_err(Failure::usage)
    }

    fn ask(self, method: &str, path: &str) -> Result<(u16, Vec<u8>), Failure> {
        let target = self.target(path)?;
        let answer = send(&target, method).map_err(|error| self.failed(&error.to_string()))?;
        match parse(&answer) {
            Parsed::Answer(answer, _) => Ok((answer.status, answer.body.to_vec())),
            Parsed::Incomplete | Parsed::Broken => Err(self.failed("this is no bidder's answer")),
        }
    }
}

fn connect(target: &Target, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.address, PATIENCE)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(stream)
}

/// All that comes until the connection is closed. The port is named by its address: it trusts no other name.
fn send(target: &Target, method: &str) -> io::Result<Vec<u8>> {
    let mut stream = connect(target, PATIENCE)?;
    let Target { address, path, .. } = target;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if method == "POST" {
        request += &format!("{HEADER}: 1\r\nContent-Length: 0\r\n");
    }
    stream.write_all((request + "\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
