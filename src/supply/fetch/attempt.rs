//! One file: from its first URL over its redirects to a body, a 404 or a trouble. Where the redirects leave the root domain the
//! attempt is handed back, to be continued in the turn of the host they lead to.

use std::time::Duration;

use ureq::Body as Answer;
use ureq::http::{HeaderMap, Response};

use crate::clock;
use crate::limits;
use crate::supply::fetch::client::{self, Client, Trouble};
use crate::supply::fetch::follow::References;
use crate::supply::fetch::take::{self, Meter, Refused};
use crate::supply::fetch::url::Url;
use crate::supply::store::{Bodies, Entry, Kind};

/// An attempt on its way.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What to ask now.
    pub url: Url,
    /// Redirects that may still follow.
    pub redirects: u8,
    /// What is left of its time.
    pub left: Duration,
    /// It has left the root domain: no redirect may follow (ads.txt 1.1, 3.1).
    pub elsewhere: bool,
}

impl Attempt {
    /// The first URL of a file, https.
    pub fn new(kind: Kind, domain: &str, time: Duration) -> Attempt {
        let url = Url::of(true, domain, kind.file());
        Attempt { url, redirects: limits::REDIRECTS, left: time, elsewhere: false }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub enum End {
    /// A body is in the store.
    Body {
        /// Its SHA-256.
        digest: String,
        /// Its length.
        bytes: u64,
        /// The answer's headers.
        headers: HeaderMap,
        /// What it says of further files.
        references: References,
    },
    /// The copy is the current one.
    NotModified(HeaderMap),
    /// 404 for a publisher's file.
    Absent(HeaderMap),
}

/// Makes attempts.
#[derive(Debug)]
pub struct Attempts<'a> {
    /// Sends the requests.
    pub client: &'a Client,
    /// Counts and slows what comes.
    pub meter: &'a Meter,
    /// Where bodies go.
    pub bodies: Bodies,
    /// Tells this thread's bodies from others'.
    pub number: usize,
    /// Plain HTTP is tried for the first URL where TLS is not to be had. Not while a copy that came over TLS is alive: whoever sits on the way
    /// could replace it by breaking TLS.
    pub plain: bool,
}

impl Attempts<'_> {
    /// Goes on until the attempt ends; `None` if it goes on at another root domain.
    pub fn run(&self, entry: &Entry, attempt: &mut Attempt) -> Result<Option<End>, Refused> {
        let root = attempt.url.root().to_owned();
        loop {
            let started = clock::boot();
            let asked = self.client.get(&attempt.url, entry, attempt.left);
            let ended = match asked {
                Err(trouble) if trouble.no_tls && self.plain && attempt.redirects == limits::REDIRECTS => {
                    attempt.url.secure = false;
                    None
                }
                Err(trouble) => return Err(trouble.into()),
                Ok(answer) => self.answer(entry, attempt, answer)?,
            };
            // What is in hand is not late, however long the looking at it took.
            if ended.is_some() {
                return Ok(ended);
            }
            let used = Duration::from_nanos(clock::boot().0 - started.0);
            attempt.left = attempt.left.checked_sub(used).ok_or_else(|| Trouble::new("timeout: global"))?;
            if attempt.url.root() != root {
                attempt.elsewhere = true;
                return Ok(None);
            }
        }
    }

    /// What an answer means; `None` if `attempt` goes on.
    fn answer(&self, entry: &Entry, attempt: &mut Attempt, answer: Response<Answer>) -> Result<Option<End>, Refused> {
        let status = answer.status().as_u16();
        match status {
            200 | 203 => {
                take::check_type(entry.kind, answer.headers())?;
                let headers = answer.headers().clone();
                let mut body = self.bodies.begin(self.number).map_err(Refused::Disk)?;
                take::take(entry.kind, answer, self.meter, &mut body)?;
                let file = body.read().map_err(Refused::Disk)?;
                let references = self.meter.references(entry.kind, &entry.domain, file)?;
                let (digest, bytes) = body.keep().map_err(Refused::Disk)?;
                Ok(Some(End::Body { digest, bytes, headers, references }))
            }
            304 if client::conditional(entry) => Ok(Some(End::NotModified(answer.headers().clone()))),
            // 404 is no declaration of a publisher; an advertising system's last list stays (sellers.json, "Access method").
            404 if entry.kind != Kind::SellersJson => Ok(Some(End::Absent(answer.headers().clone()))),
            // 308 is to 301 what 307 is to 302, and younger than the text that lists the three.
            301 | 302 | 307 | 308 => {
                if attempt.elsewhere {
                    return Err(Trouble::new(format!("status {status} from a third party")).into());
                }
                let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
                let next = location.and_then(|location| attempt.url.join(location));
                attempt.url = next.ok_or_else(|| Trouble::new(format!("status {status} leads to no URL")))?;
                attempt.redirects =
                    attempt.redirects.checked_sub(1).ok_or_else(|| Trouble::new("too many redirects"))?;
                Ok(None)
            }
            _ => Err(Trouble::status(status, answer.headers()).into()),
        }
    }
}
