//! The machines: two bidders with data of their own, a primary and a replica of Valkey with the shipped access control list and
//! TLS, and DynamoDB.

use std::fs;

use crate::support::process::{Bidder, Refused, run};
use crate::support::valkey::{Authority, Server, write_password};
use crate::support::{Folder, campaign, dynamodb};

/// What the campaign that pays more may spend a day, in micros; the other has plenty.
pub(crate) const BUDGET: i64 = 4_000_000;
const PASSWORD: &str = "of-the-fleet";

/// The campaigns of a fleet: the first is wanted by every request until its money is gone.
pub(crate) fn campaigns() -> String {
    let small = campaign(1, "daily_budget = 4\n").replace("cpm = 2.00", "cpm = 40.00");
    small + &campaign(2, "")
}

/// The stores, and a folder for each bidder.
pub(crate) struct Fleet {
    pub(crate) folders: [Folder; 2],
    pub(crate) primary: Server,
    pub(crate) replica: Server,
    pub(crate) dynamodb: dynamodb::Server,
    authority: Option<Authority>,
    /// Where the bidders find the stores.
    hosts: [String; 2],
}

impl Fleet {
    /// Empty stores, and the files of two bidders.
    pub(crate) fn new() -> Fleet {
        let authority = Authority::new();
        let encrypted = authority.arguments();
        let arguments: Vec<&str> = encrypted.iter().map(String::as_str).collect();
        Fleet::with(Some(authority), &arguments, ["127.0.0.1", "127.0.0.1"])
    }

    /// The same without encryption, for bidders that find the stores by these addresses; the first's is this machine's own.
    pub(crate) fn at(hosts: [&str; 2]) -> Fleet {
        let bind = format!("127.0.0.1 {}", hosts[1]);
        Fleet::with(None, &["--bind", &bind, "--protected-mode", "no"], hosts)
    }

    fn with(authority: Option<Authority>, arguments: &[&str], hosts: [&str; 2]) -> Fleet {
        let primary = Server::with_acl(PASSWORD, arguments);
        let port = primary.address.port().to_string();
        let follows = ["--replicaof", "127.0.0.1", &port, "--primaryuser", "replica", "--primaryauth", PASSWORD];
        let replica = Server::with_acl(PASSWORD, &[&follows, arguments].concat());
        replica.follows();
        let fleet = Fleet {
            folders: [Folder::new("fleet-1"), Folder::new("fleet-2")],
            primary,
            replica,
            dynamodb: dynamodb::Server::start(),
            authority,
            hosts: hosts.map(str::to_owned),
        };
        for node in [0, 1] {
            fleet.configure(node, &fleet.folders[node]);
        }
        let (code, _, stderr) = run(&["stores", "init", "--config", &fleet.config(0)]);
        assert_eq!(code, Some(0), "{stderr}");
        fleet
    }

    /// The files of a bidder with this number, less one.
    pub(crate) fn configure(&self, node: usize, folder: &Folder) -> String {
        let path = folder.configure(&format!("node = {}\ndebug_header = true", node + 1), "", &campaigns());
        write_password(&folder.path("valkey.password"), PASSWORD);
        let credentials = dynamodb::credentials(folder, "AKIDCOREBID");
        let host = self.hosts.get(node).map_or("127.0.0.1", String::as_str);
        let [first, second] = [&self.primary, &self.replica].map(|server| server.address.port());
        let tls = self
            .authority
            .as_ref()
            .map_or(String::new(), |authority| format!("tls = true\nca_file = {:?}\n", authority.ca_file()));
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str(&format!(
            "[stores.valkey]\naddresses = [\"{host}:{first}\", \"{host}:{second}\"]\nusername = \"corebid\"\n\
             password_file = \"valkey.password\"\n{tls}\
             [stores.dynamodb]\nendpoint = \"http://{host}:{}\"\naws_region = \"eu-central-1\"\n\
             credentials_file = {credentials:?}\ntimeout_ms = 5000\n",
            self.dynamodb.port
        ));
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn config(&self, node: usize) -> String {
        self.folders[node].text("corebid.toml")
    }

    #[track_caller]
    pub(crate) fn start(&self, node: usize) -> Bidder {
        Bidder::start(&["--config", &self.config(node)])
    }

    /// One that the stores do not let start.
    #[track_caller]
    pub(crate) fn refused(&self, node: usize) -> Refused {
        let folder = Folder::new("fleet-refused");
        Bidder::try_start(&["--config", &self.configure(node, &folder)]).unwrap_err()
    }
}
