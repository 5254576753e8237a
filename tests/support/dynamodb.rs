//! Amazon's DynamoDB Local, from target/dynamodb-local, and a proxy before it that notes every call, refuses what a policy does not
//! allow, and fails on demand.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use corebid::config::DynamoDb as Config;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::{Folder, eventually};

/// A server of its own, in memory. Killed when it goes out of scope.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start() -> Server {
        let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/dynamodb-local/lib");
        assert!(lib.is_dir(), "{} is missing: scripts/test fills it", lib.display());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("java")
            .args(["-Xmx256m", &format!("-Djava.library.path={}", lib.display()), "-cp"])
            .arg(format!("{}/*", lib.display()))
            .args([
                "com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
                "-inMemory",
                "-sharedDb",
                "-disableTelemetry",
            ])
            .args(["-port", &port.to_string()])
            .env("DDB_LOCAL_TELEMETRY", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("java");
        let server = Server { child, port };
        eventually("DynamoDB Local", || TcpStream::connect(("127.0.0.1", port)).ok());
        server
    }

    /// One that all tests of this process share as long as one of them runs.
    pub fn shared() -> Arc<Server> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let server = Arc::new(Server::start());
        *shared = Arc::downgrade(&server);
        server
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the process is this one's child and was not waited for.
        let sent = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "DynamoDB Local is gone");
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A configuration for this endpoint. The tables are those of the prefix alone.
pub fn config(folder: &Folder, endpoint: &str, prefix: &str, tenants: &[u32]) -> Config {
    let credentials = credentials(folder, "AKIDCOREBID");
    let text = format!(
        "endpoint = {endpoint:?}\naws_region = \"eu-central-1\"\ncredentials_file = {credentials:?}\n\
         table_prefix = {prefix:?}\ntimeout_ms = 20000\nfetch_ms = 20000\ntenants = {tenants:?}\n"
    );
    toml::from_str(&text).unwrap()
}

/// A credentials file as an operator makes it.
pub fn credentials(folder: &Folder, key: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path =
        folder.write("credentials", format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// One call that came by.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GetItem`, …
    pub operation: String,
    /// The key it was signed with.
    pub signer: String,
    pub body: Value,
}

/// What happens to the next call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A BatchGetItem answers so many keys and hands back the rest.
    Unprocessed(usize),
    /// An error with this status and code; nothing is done.
    Error(u16, &'static str),
    /// It is done, and the answer is lost.
    Deaf,
}

/// A proxy before a server. Its calls are noted; a policy, if it has one, is enforced.
pub struct Proxy {
    pub port: u16,
    secure: bool,
    state: Arc<State>,
}

struct State {
    upstream: u16,
    prefix: String,
    policy: Option<Policy>,
    tls: Option<Arc<ServerConfig>>,
    calls: Mutex<Vec<Call>>,
    used: Mutex<BTreeSet<(String, String)>>,
    faults: Mutex<VecDeque<Fault>>,
    fault_of: Mutex<Option<(String, Fault)>>,
    ends: AtomicBool,
}

impl Proxy {
    /// `prefix` is what the tables' names begin with; a policy names them as if it were `corebid`.
    pub fn new(upstream: u16, prefix: &str, policy: Option<Policy>, tls: Option<ServerConfig>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let secure = tls.is_some();
        let state = Arc::new(State {
            upstream,
            prefix: prefix.to_owned(),
            policy,
            tls: tls.map(Arc::new),
            calls: Mutex::default(),
            used: Mutex::default(),
            faults: Mutex::default(),
            fault_of: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let serving = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ends.load(Ordering::Relaxed) {
                    break;
                }
                let state = serving.clone();
                thread::spawn(move || match &state.tls {
                    None => serve(&state, stream),
                    Some(tls) => {
                        let session = ServerConnection::new(tls.clone()).unwrap();
                        serve(&state, StreamOwned::new(session, stream));
                    }
                });
            }
        });
        Proxy { port, secure, state }
    }

    pub fn url(&self) -> String {
        format!("{}://localhost:{}", if self.secure { "https" } else { "http" }, self.port)
    }

    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// At the next call of this operation.
    pub fn fail_next(&self, operation: &str, fault: Fault) {
        *self.state.fault_of.lock().unwrap() = Some((operation.to_owned(), fault));
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// Actions and tables that calls needed.
    pub fn used(&self) -> BTreeSet<(String, String)> {
        self.state.used.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(state: &State, stream: impl Read + Write) {
    let mut stream = BufReader::new(stream);
    while let Ok((head, body)) = message(&mut stream) {
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            line.map_or("", |line| line[name.len() + 1..].trim()).to_owned()
        };
        let operation = field("x-amz-target").rsplit('.').next().unwrap().to_owned();
        let signer = field("authorization");
        let signer =
            signer.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or("").to_owned();
        let body: Value = serde_json::from_slice(&body).unwrap();
        state.calls.lock().unwrap().push(Call { operation: operation.clone(), signer, body: body.clone() });
        let needs = needs(&operation, &body, &state.prefix);
        let denied = state.policy.as_ref().and_then(|policy| needs.iter().find(|need| !policy.allows(need)));
        let (status, answer) = match denied {
            Some(need) => {
                let message = format!("{} is not allowed on {} {:?}", need.action, need.table, need.partitions);
                (400, json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": message }))
            }
            None => {
                state.used.lock().unwrap().extend(needs.into_iter().map(|need| (need.action, need.table)));
                let mut of = state.fault_of.lock().unwrap();
                let fault = match of.take_if(|(of, _)| *of == operation) {
                    Some((_, fault)) => Some(fault),
                    None => state.faults.lock().unwrap().pop_front(),
                };
                drop(of);
                match fault {
                    Some(Fault::Error(status, code)) => {
                        (status, json!({ "__type": format!("com.amazonaws.dynamodb#{code}"), "message": "on demand" }))
                    }
                    Some(Fault::Unprocessed(answered)) => partly(state, &head, body, answered),
                    Some(Fault::Deaf) => {
                        forward(state, &head, &body);
                        return;
                    }
                    None => forward(state, &head, &body),
                }
            }
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let stream = stream.get_mut();
        if stream.write_all(format!("{head}{answer}").as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// Asks for the first keys only, and adds the rest as not processed.
fn partly(state: &State, head: &str, mut body: Value, answered: usize) -> (u16, Value) {
    let (table, asked) = body["RequestItems"].as_object().unwrap().iter().next().unwrap();
    let (table, keys) = (table.clone(), asked["Keys"].as_array().unwrap().clone());
    let (now, later) = keys.split_at(answered);
    let mut answer = (200, json!({ "Responses": { &*table: [] } }));
    if !now.is_empty() {
        body["RequestItems"][&table]["Keys"] = json!(now);
        answer = forward(state, head, &body);
    }
    answer.1["UnprocessedKeys"] = json!({ table: { "Keys": later } });
    answer
}

fn forward(state: &State, head: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut upstream = TcpStream::connect(("127.0.0.1", state.upstream)).unwrap();
    let mut sent = String::new();
    for line in head.lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        !line.is_empty() && !line.starts_with("content-length:") && !line.starts_with("connection:")
    }) {
        sent.push_str(line);
        sent.push_str("\r\n");
    }
    sent.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()));
    upstream.write_all(sent.as_bytes()).unwrap();
    let (head, body) = message(&mut BufReader::new(upstream)).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Head and body of a message, of which the length is told.
fn message(stream: &mut impl BufRead) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let lower = head.to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk)?;
            if length == 0 {
                return Ok((head, body));
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

/// A right that a call needs.
#[derive(Debug)]
struct Need {
    action: String,
    table: String,
    /// Values of the partition key that it touches.
    partitions: Vec<String>,
}

/// By the service authorization reference of DynamoDB: a transaction needs the rights of its parts.
fn needs(operation: &str, body: &Value, prefix: &str) -> Vec<Need> {
    let need = |action: &str, table: &Value, items: Vec<&Value>| {
        let table = table.as_str().unwrap_or_default();
        let table = table.strip_prefix(prefix).map_or(table.to_owned(), |rest| format!("corebid{rest}"));
        let partition = |item: &Value| {
            let key = item.get("tenant").or(item.get(":tenant")).or(item.get("id"));
            key.and_then(|key| key["S"].as_str()).unwrap_or("?").to_owned()
        };
        Need { action: format!("dynamodb:{action}"), table, partitions: items.into_iter().map(partition).collect() }
    };
    match operation {
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array().unwrap().iter().flat_map(|part| part.as_object().unwrap());
            parts
                .map(|(kind, part)| {
                    let item = if kind == "Put" { &part["Item"] } else { &part["Key"] };
                    need(&format!("{kind}Item"), &part["TableName"], vec![item])
                })
                .collect()
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap();
            let keys = |asked: &'_ Value| asked["Keys"].as_array().unwrap().clone();
            tables.iter().map(|(table, asked)| need(operation, &json!(table), keys(asked).iter().collect())).collect()
        }
        "Query" => vec![need(operation, &body["TableName"], vec![&body["ExpressionAttributeValues"]])],
        "PutItem" => vec![need(operation, &body["TableName"], vec![&body["Item"]])],
        "GetItem" | "UpdateItem" | "DeleteItem" => vec![need(operation, &body["TableName"], vec![&body["Key"]])],
        _ => vec![need(operation, &body["TableName"], Vec::new())],
    }
}

/// An IAM policy, as much of its language as ours use.
#[derive(Clone, Debug)]
pub struct Policy(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    actions: Vec<String>,
    tables: Vec<String>,
    partitions: Option<Vec<String>>,
}

impl Policy {
    pub fn read(name: &str) -> Policy {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dynamodb").join(name);
        let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(document["Version"], "2012-10-17");
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().expect("a list").iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let statement = |statement: &Value| {
            assert_eq!(statement["Effect"], "Allow");
            let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
            assert!(statement.as_object().unwrap().keys().all(|key| known.contains(&&**key)), "{statement}");
            let partitions = statement.get("Condition").map(|condition| {
                assert_eq!(condition.as_object().unwrap().len(), 1, "{condition}");
                texts(&condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"])
            });
            let tables = texts(&statement["Resource"]);
            let tables = tables.iter().map(|arn| arn.rsplit_once(":table/").expect(arn).1.to_owned()).collect();
            Statement { actions: texts(&statement["Action"]), tables, partitions }
        };
        Policy(document["Statement"].as_array().unwrap().iter().map(statement).collect())
    }

    fn allows(&self, need: &Need) -> bool {
        self.0.iter().any(|statement| {
            let keys = statement.partitions.as_ref();
            statement.actions.contains(&need.action)
                && statement.tables.contains(&need.table)
                && keys.is_none_or(|keys| need.partitions.iter().all(|partition| keys.contains(partition)))
        })
    }

    /// Every action on every table that it allows.
    pub fn rights(&self) -> BTreeSet<(String, String)> {
        let pairs = self.0.iter().flat_map(|statement| {
            let tables = statement.tables.iter();
            tables.flat_map(|table| statement.actions.iter().map(|action| (action.clone(), table.clone())))
        });
        pairs.collect()
    }
}
