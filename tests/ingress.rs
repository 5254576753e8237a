//! The ingress as exchanges, operators and nuisances meet it. The oracle of its answers is the bid port of the same bidder.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use corebid::config;
use corebid::ingress::Ingress;
use corebid::ingress::certificate::Certificate;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::client::{Client, http, target};
use support::process::{Bidder, run};
use support::{Folder, PATIENCE, campaign, eventually, request};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and whoever believes it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    client: Arc<ClientConfig>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Authority { issuer: Issuer::new(params, key), client: Arc::new(client) }
    }

    /// Writes a new certificate and its key as an operator replaces them: whole files, renamed into place.
    fn certify(&self, folder: &Folder) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["bid.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        for (name, text) in [("tls.pem", certificate.pem()), ("tls.key", key.serialize_pem())] {
            let new = folder.write(&format!("{name}.new"), text);
            fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
            fs::rename(new, folder.path(name)).unwrap();
        }
        certificate.der().clone()
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Client<Secure>> {
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("bid.example").unwrap();
        let mut tls = ClientConnection::new(self.client.clone(), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Client::over(StreamOwned::new(tls, tcp)))
    }
}

/// A port that nobody has.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A configuration with an ingress; `more` are further keys of it.
fn configure(folder: &Folder, listen: SocketAddr, more: &str) -> String {
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let section = format!(
        "[ingress]\nlisten = \"{listen}\"\ncert_file = \"tls.pem\"\nkey_file = \"tls.key\"\nflag_file = \"open\"\n{more}\n"
    );
    fs::write(&config, fs::read_to_string(&config).unwrap() + &section).unwrap();
    config
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// What the command says, and how it ends.
fn command(bidder: &Bidder, what: &str) -> (Option<i32>, String, String) {
    run(&["ingress", what, "--admin", &format!("http://{}", bidder.admin)])
}

/// A change through the admin port, as a tool makes it.
fn post(bidder: &Bidder, path: &str, fields: &str) -> (u16, String) {
    let mut client = Client::connect(bidder.admin).unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: 0\r\n\r\n", bidder.admin);
    client.send(request.as_bytes()).unwrap();
    let answer = client.answer().unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// All that comes until the connection ends, however it does.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(read) = stream.read(&mut bytes) {
        if read == 0 {
            break;
        }
        all.extend_from_slice(&bytes[..read]);
    }
    all
}

#[test]
fn it_is_dormant_until_a_file_an_operator_or_a_call_opens_it() {
    let (folder, authority, listen) = (Folder::new("ingress-switch"), Authority::new(), free());
    authority.certify(&folder);
    let bidder = Bidder::start(&["--config", &configure(&folder, listen, "")]);
    assert!(is_refused(listen));
    assert_eq!(bidder.metric("corebid_ingress_open", ""), 0);
    let (code, said, _) = command(&bidder, "status");
    assert!(code == Some(0) && said.starts_with("closed"), "{said}");

    // The file.
    folder.write("open", "");
    let mut client = eventually("the ingress", || authority.connect(listen).ok());
    assert_eq!(client.debug(&request("r1", "")).status, 200);
    assert_eq!(bidder.metric("corebid_ingress_open", ""), 1);
    let (code, _, error) = command(&bidder, "close");
    assert!(code == Some(1) && error.contains("remove it"), "{error}");
    assert_eq!(client.debug(&request("r2", "")).status, 200, "it stays open");
    fs::remove_file(folder.path("open")).unwrap();
    assert_eq!(rest(client.stream()), b"", "closing it ends its connections");
    eventually("the end of it", || is_refused(listen).then_some(()));

    // The command.
    let (code, said, error) = command(&bidder, "open");
    assert!(code == Some(0) && said.contains(&format!("https://{listen}")), "{said}{error}");
    let mut client = authority.connect(listen).unwrap();
    assert_eq!(client.debug(&request("r3", "")).status, 200);
    let (code, said, _) = command(&bidder, "close");
    assert!(code == Some(0) && said.starts_with("closed"), "{said}");
    assert!(is_refused(listen), "closed when the command says so");
    assert_eq!(rest(client.stream()), b"");

    // The call, which asks for what every change asks for.
    assert_eq!(post(&bidder, "/api/ingress/open", "").0, 403);
    assert!(is_refused(listen));
    let (status, body) = post(&bidder, "/api/ingress/open", "x-corebid: 1\r\n");
    assert!(status == 200 && body.contains("\"open\":true"), "{body}");
    assert_eq!(authority.connect(listen).unwrap().debug(&request("r4", "")).status, 200);
    assert_eq!(post(&bidder, "/api/ingress/close", "x-corebid: 1\r\n").0, 200);
    assert!(is_refused(listen));

    // Its port is another's: said, and taken as soon as it is free.
    let other = TcpListener::bind(listen).unwrap();
    let (code, _, error) = command(&bidder, "open");
    assert!(code == Some(1) && error.contains(&listen.to_string()), "{error}");
    assert_eq!(bidder.metric("corebid_ingress_failing", ""), 1);
    drop(other);
    let mut client = eventually("the ingress", || authority.connect(listen).ok());
    assert_eq!(client.debug(&request("r5", "")).status, 200);
    assert_eq!(bidder.metric("corebid_ingress_failing", ""), 0);
    bidder.stop();
}

#[test]
fn without_a_section_there_is_none() {
    let folder = Folder::new("ingress-none");
    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let (status, body) = post(&bidder, "/api/ingress/open", "x-corebid: 1\r\n");
    assert!(status == 409 && body.contains("[ingress]"), "{body}");
    assert_eq!(command(&bidder, "status").0, Some(1));
    bidder.stop();
}

#[test]
fn answers_are_those_of_the_bid_port() {
    let (folder, authority, listen) = (Folder::new("ingress-answers"), Authority::new(), free());
    authority.certify(&folder);
    folder.write("open", "");
    let bidder = Bidder::start(&["--config", &configure(&folder, listen, "")]);
    eventually("the ingress", || authority.connect(listen).ok());

    let post = |fields: &str, body: &[u8]| http("POST", "/openrtb/generic", fields, body);
    let nobody = br#"{"id":"1","imp":[{"id":"1","banner":{"w":1,"h":1}}]}"#;
    let mut chunked = b"POST /openrtb/generic HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in nobody.chunks(7) {
        chunked.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        chunked.extend_from_slice(part);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let padded = |length: usize| [&nobody[..], &vec![b' '; length - nobody.len()]].concat();
    let last = http("GET", "/ready", "Connection: close\r\n", b"");
    for (name, bytes) in [
        ("no bid", post("x-openrtb-version: 2.6\r\n", nobody)),
        ("no bid, chunked", chunked),
        ("two at once", [post("", nobody), post("", b"{")].concat()),
        ("broken", post("", b"{\"id\":")),
        ("the longest", post("", &padded(1024 * 1024))),
        ("a longer one", post("", &padded(1024 * 1024 + 1))),
        ("unknown", http("GET", "/elsewhere", "", b"")),
        ("no notice", http("GET", "/notice/bill/x", "", b"")),
        ("a probe", http("GET", "/ready", "", b"")),
        ("a head", http("HEAD", "/ready", "", b"")),
        ("old", b"POST /openrtb/generic HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        ("no HTTP", b"nonsense\r\n\r\n".to_vec()),
        ("two lengths", b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
        ("an expectation", b"POST /x HTTP/1.1\r\nExpect: more\r\n\r\n".to_vec()),
        ("another version", b"GET / HTTP/2.0\r\n\r\n".to_vec()),
        ("a long head", [b"GET /".to_vec(), vec![b'a'; 9000]].concat()),
    ] {
        let bytes = [bytes, last.clone()].concat();
        let mut plain = bidder.client();
        // Whoever is refused may be reset while it still sends.
        let _ = plain.send(&bytes);
        let expected = rest(plain.stream());
        assert!(!expected.is_empty(), "{name}");
        let mut secure = authority.connect(listen).unwrap();
        let _ = secure.send(&bytes);
        let got = rest(secure.stream());
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{name}");
    }

    // A body that is held back until it is asked for.
    let mut client = authority.connect(listen).unwrap();
    let length = nobody.len();
    let head = format!("POST /openrtb/generic HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
    client.send(head.as_bytes()).unwrap();
    let mut proceed = [0; 25];
    client.stream().read_exact(&mut proceed).unwrap();
    assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(nobody).unwrap();
    assert_eq!(client.answer().unwrap().status, 204);

    // A bid, and its bill; called at the bid port again, it is a duplicate.
    let bid = client.debug(&request("r1", "")).json();
    let burl = bid["seatbid"][0]["bid"][0]["burl"].as_str().unwrap();
    let bill = target(burl, "1.00");
    assert_eq!(client.get(&bill).status, 200);
    assert_eq!(bidder.client().get(&bill).status, 200);
    assert_eq!((bidder.booked("bills"), bidder.booked("duplicates")), (1, 1));
    bidder.stop();
}

#[test]
fn its_limits_hold() {
    let (folder, authority, listen) = (Folder::new("ingress-limits"), Authority::new(), free());
    authority.certify(&folder);
    folder.write("open", "");
    let limits = "max_connections = 3\nrequests_per_second = 1\nidle_ms = 1000\nhandshake_ms = 300";
    let bidder = Bidder::start(&["--config", &configure(&folder, listen, limits)]);
    let ended = |why: &str| bidder.metric("corebid_ingress_ended_total", &format!("why=\"{why}\""));

    // More requests than a second may have; notices and probes are none.
    let mut client = eventually("the ingress", || authority.connect(listen).ok());
    let answers: Vec<_> = (0..10).map(|n| client.bid(&request(&format!("r{n}"), "")).status).collect();
    let (asked, limited) =
        (bidder.metric("corebid_requests_total", ""), bidder.metric("corebid_ingress_limited_total", ""));
    assert!(limited > 0 && answers.iter().all(|status| [200, 204].contains(status)), "{answers:?}");
    assert_eq!((asked + limited, answers[0]), (10, 200));
    for _ in 0..5 {
        assert_eq!(client.get("/ready").body, b"1");
    }
    assert_eq!(bidder.metric("corebid_ingress_requests_total", ""), 15);

    // Half a handshake, and none at all.
    let mut half: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(listen).unwrap()).collect();
    half[0].write_all(&[22, 3, 1, 2]).unwrap();
    half.iter_mut().for_each(|stream| stream.set_read_timeout(Some(PATIENCE)).unwrap());
    assert!(half.iter_mut().all(|stream| rest(stream).is_empty()));
    eventually("both", || (ended("handshake") == 2).then_some(()));

    // Too many.
    drop(client);
    eventually("room", || (bidder.metric("corebid_ingress_connections", "") == 0).then_some(()));
    let mut three: Vec<_> = (0..3).map(|_| authority.connect(listen).unwrap()).collect();
    assert!(authority.connect(listen).is_err());
    eventually("the count", || (ended("full") == 1).then_some(()));
    assert!(three.iter_mut().all(|client| client.get("/ready").status == 200), "those before are served");
    // Nobody asks any more.
    assert!(three.iter_mut().all(|client| rest(client.stream()).is_empty()));
    eventually("their end", || (ended("idle") == 3).then_some(()));
    bidder.stop();
}

#[test]
fn what_is_no_request_is_answered_or_closed() {
    let (folder, authority, listen) = (Folder::new("ingress-nuisance"), Authority::new(), free());
    authority.certify(&folder);
    folder.write("open", "");
    let bidder = Bidder::start(&["--config", &configure(&folder, listen, "")]);
    let ended = |why: &str| bidder.metric("corebid_ingress_ended_total", &format!("why=\"{why}\""));
    let mut good = eventually("the ingress", || authority.connect(listen).ok());

    // A request that never ends, a byte at a time.
    let slow = authority.connect(listen).unwrap();
    let slow = thread::spawn(move || {
        let mut slow = slow;
        slow.send(b"POST /openrtb/generic HTTP/1.1\r\nContent-Length: 1000\r\n\r\n").unwrap();
        slow.stream().sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        loop {
            match slow.answer() {
                Ok(answer) => return answer,
                Err(_) => slow.send(b" ").unwrap(),
            }
        }
    });

    let mut plain = TcpStream::connect(listen).unwrap();
    plain.write_all(&http("POST", "/openrtb/generic", "", b"{}")).unwrap();
    let said = String::from_utf8(rest(&mut plain)).unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.ends_with("\r\n\r\nThis port speaks HTTPS only.\n"), "{said}");
    eventually("the count", || (ended("plain") == 1).then_some(()));

    for garbage in [&b"\0\0\0\0"[..], &[22; 100], b"SSH-2.0-x\r\n", &[0x80, 0x2e, 1, 3, 1]] {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        let said = rest(&mut stream);
        assert!(said.len() < 200, "{}", said.escape_ascii());
    }
    // A peer that breaks off within a record.
    let mut broken = authority.connect(listen).unwrap();
    broken.stream().sock.write_all(&[23, 3, 3, 0, 100, 1, 2, 3]).unwrap();
    drop(broken);
    assert_eq!(good.debug(&request("r1", "")).status, 200, "all the while");

    let answer = slow.join().unwrap();
    assert!(answer.status == 408 && answer.closes(), "{answer:?}");
    eventually("the count", || (ended("slow") == 1).then_some(()));
    eventually("the others' end", || (bidder.metric("corebid_ingress_connections", "") <= 1).then_some(()));
    assert_eq!(good.debug(&request("r2", "")).status, 200);
    bidder.stop();
}

#[test]
fn a_certificate_is_replaced_without_a_restart() {
    let (folder, authority, listen) = (Folder::new("ingress-rotation"), Authority::new(), free());
    let first = authority.certify(&folder);
    folder.write("open", "");
    let bidder = Bidder::start(&["--config", &configure(&folder, listen, "")]);
    let shown = |client: &mut Client<Secure>| client.stream().conn.peer_certificates().unwrap()[0].clone();
    let mut old = eventually("the ingress", || authority.connect(listen).ok());
    assert_eq!(shown(&mut old), first);

    let second = authority.certify(&folder);
    eventually("the second one", || (shown(&mut authority.connect(listen).ok()?) == second).then_some(()));
    assert_eq!(old.debug(&request("r1", "")).status, 200, "connections that are open stay so");
    assert_eq!(bidder.metric("corebid_ingress_certificate_failing", ""), 0);

    // One that others may read is not used.
    fs::set_permissions(folder.path("tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    eventually("the alarm", || (bidder.metric("corebid_ingress_certificate_failing", "") == 1).then_some(()));
    assert!(bidder.log().contains("chmod 600"), "{}", bidder.log());
    assert_eq!(shown(&mut authority.connect(listen).unwrap()), second);
    fs::set_permissions(folder.path("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    eventually("its end", || (bidder.metric("corebid_ingress_certificate_failing", "") == 0).then_some(()));
    bidder.stop();
}

#[test]
fn a_key_that_is_missing_or_open_stops_the_start() {
    let (folder, authority) = (Folder::new("ingress-key"), Authority::new());
    authority.certify(&folder);
    let config = configure(&folder, free(), "");
    let refused = || {
        let refused = Bidder::try_start(&["--config", &config]).expect_err("no start");
        assert_eq!(refused.code, Some(1));
        let line = refused.stderr.lines().find(|line| line.starts_with("corebid: ")).unwrap_or_default().to_owned();
        assert!(line.contains("tls."), "{}", refused.stderr);
        line
    };
    fs::set_permissions(folder.path("tls.key"), fs::Permissions::from_mode(0o604)).unwrap();
    assert!(refused().contains("chmod 600"));
    fs::remove_file(folder.path("tls.key")).unwrap();
    assert!(refused().contains("cannot read the key"));
    fs::remove_file(folder.path("tls.pem")).unwrap();
    assert!(refused().contains("cannot read the certificate"));
}

/// In front of a bid port that is not one.
#[test]
fn a_bid_port_that_fails_is_told() {
    let (folder, authority) = (Folder::new("ingress-unanswered"), Authority::new());
    authority.certify(&folder);
    folder.write("open", "");
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free();
    let text = format!(
        "listen = \"{listen}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\nflag_file = \"{}\"",
        folder.text("tls.pem"),
        folder.text("tls.key"),
        folder.text("open")
    );
    let section: config::Ingress = toml::from_str(&text).unwrap();
    let certificate = Certificate::read(&section.cert_file, &section.key_file).unwrap();
    let ingress = Ingress::start(&section, certificate, backend.local_addr().unwrap(), 0).unwrap();
    let ask = |client: &mut Client<Secure>| client.ask("POST", "/openrtb/generic", "", b"{}");
    let next = || {
        let (mut stream, _) = backend.accept().unwrap();
        let mut bytes = [0; 4096];
        assert!(stream.read(&mut bytes).unwrap() > 0);
        stream
    };
    let answered = b"HTTP/1.1 204 No Content\r\n\r\n";
    thread::scope(|scope| {
        scope.spawn(|| {
            drop(next());
            next().write_all(b"nonsense\r\n\r\n").unwrap();
            next().write_all(&[&answered[..], answered].concat()).unwrap();
            // It answers, and goes: the next request finds another.
            next().write_all(answered).unwrap();
            next().write_all(answered).unwrap();
        });
        eventually("the ingress", || authority.connect(listen).ok());
        for _ in 0..3 {
            let mut client = authority.connect(listen).unwrap();
            let answer = ask(&mut client);
            assert!(answer.status == 503 && answer.closes(), "{answer:?}");
            assert_eq!(rest(client.stream()), b"");
        }
        let mut client = authority.connect(listen).unwrap();
        assert_eq!(ask(&mut client).status, 204);
        eventually("its end", || (ingress.counts.requests.get() == 4).then_some(()));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(ask(&mut client).status, 204);
    });
    ingress.join();
    assert!(is_refused(listen));
}
