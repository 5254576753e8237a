//! The configuration file: one struct tree, read from TOML; [`Config::validate`] holds every rule that spans fields.

pub mod edge;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub mod exchange;
pub mod privacy;
pub mod profiles;
pub mod miss;
pub mod shading;
pub mod supply;
pub mod audit;
pub mod score;
pub mod tail;
pub mod training;
pub mod dynamodb;
pub mod process;
pub mod stores;
pub mod ingress;

use crate::bid::net::{Steering, Waiting};
use crate::bid::paper::BASE_BYTES;
use crate::bid::server::Backend;
use crate::units::{Currency, NodeId};
pub use audit::Audit;
pub use dynamodb::DynamoDb;
pub use edge::{Countries, Edge, Velocity};
pub use exchange::Exchange;
pub use ingress::Ingress;
pub use miss::OnMiss;
pub use privacy::Privacy;
pub use process::Process;
pub use profiles::Profiles;
pub use score::Score;
pub use stores::Stores;
pub use supply::Supply;
pub use tail::Tail;
pub use training::Training;

/// All of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`.
    #[serde(default)]
    pub server: Server,
    /// `[data]`.
    pub data: Data,
    /// `[edge]`.
    #[serde(default)]
    pub edge: Edge,
    /// `[privacy]`.
    #[serde(default)]
    pub privacy: Privacy,
    /// `[profiles]`.
    #[serde(default)]
    pub profiles: Profiles,
    /// `[supply]`.
    #[serde(default)]
    pub supply: Supply,
    /// `[audit]`.
    #[serde(default)]
    pub audit: Audit,
    /// `[score]`.
    #[serde(default)]
    pub score: Score,
    /// `[tail]`.
    #[serde(default)]
    pub tail: Tail,
    /// `[training]`.
    #[serde(default)]
    pub training: Training,
    /// `[stores]`.
    #[serde(default)]
    pub stores: Stores,
    /// `[process]`.
    #[serde(default)]
    pub process: Process,
    /// `[ingress]`.
    pub ingress: Option<Ingress>,
    /// `[[exchange]]`, at least one.
    #[serde(rename = "exchange")]
    pub exchanges: Vec<Exchange>,
}

/// `[server]`: sockets and threads. The command line overrides these.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where exchanges connect.
    pub listen: SocketAddr,
    /// Metrics, health.
    pub admin: SocketAddr,
    /// CPUs of the bid cores; by default all but the reconciliation core's.
    pub cores: Option<Vec<usize>>,
    /// CPU of the reconciliation core.
    pub reconcile_core: Option<usize>,
    /// How a bid core waits.
    #[serde(deserialize_with = "parsed")]
    pub wait: Waiting,
    /// Which system interface serves the sockets.
    #[serde(deserialize_with = "parsed")]
    pub backend: Backend,
    /// How connections are spread over the bid cores.
    #[serde(deserialize_with = "parsed")]
    pub steer: Steering,
    /// Scheme and authority under which exchanges reach the notice URLs, `http://bid.example.com`; by default the listen address.
    pub public_url: Option<String>,
    /// This machine's number in the fleet, 0 to 63.
    pub node: u16,
    /// Whether a request with `x-debug: 1` is told why it got no bid.
    pub debug_header: bool,
    /// Where the bid port is asked whether it is well, by a load balancer or a managed network of exchanges.
    pub health_path: String,
    /// The status that says yes.
    pub health_ok: u16,
    /// The status that says no: without a lease, and while draining.
    pub health_not_ready: u16,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9090)),
            cores: None,
            reconcile_core: None,
            wait: Waiting::default(),
            backend: Backend::default(),
            steer: Steering::default(),
            public_url: None,
            node: 0,
            debug_header: false,
            health_path: "/health".to_owned(),
            health_ok: 200,
            health_not_ready: 503,
        }
    }
}

impl Server {
    fn check_health(&self) -> Result<(), ConfigError> {
        let path = &self.health_path;
        let taken = path == "/ready" || ["/openrtb/", "/notice/"].iter().any(|taken| path.starts_with(taken));
        let plain = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
        if taken || !plain {
            return Err(ConfigError(format!(
                "server.health_path {path:?}: a path of its own is wanted, such as /health"
            )));
        }
        for (key, code) in [("health_ok", self.health_ok), ("health_not_ready", self.health_not_ready)] {
            if !(200..=599).contains(&code) || code == 304 {
                return Err(ConfigError(format!(
                    "server.{key} {code}: a status from 200 to 599, and not 304, is wanted"
                )));
            }
        }
        Ok(())
    }
}

/// `[data]`: files. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where the ledger lives.
    pub dir: PathBuf,
    /// Heads of the ledger's chain are appended here, best on a volume of another machine.
    pub head_file: Option<PathBuf>,
    /// The campaign file, TOML or JSON.
    pub campaigns: PathBuf,
    /// Profiles, one JSON object a line; without it no user has any.
    pub profiles: Option<PathBuf>,
    /// Weights of the score; without it the built-in ones.
    pub model: Option<PathBuf>,
    /// The currency of all budgets and CPMs, ISO 4217.
    #[serde(default, deserialize_with = "parsed")]
    pub currency: Currency,
    /// What other currencies are worth; without it only `currency` is bid in.
    pub rates: Option<PathBuf>,
    /// Hours after their `as_of` for which rates are believed.
    #[serde(default = "rates_max_age_hours")]
    pub rates_max_age_hours: u32,
    /// Where IP addresses are: a MaxMind DB of the City, Country or Enterprise kind.
    pub geo: Option<PathBuf>,
    /// The key that signs notice URLs: 64 hexadecimal digits.
    pub notice_key_file: PathBuf,
    /// The key under which user ids become pseudonyms: 64 hexadecimal digits.
    pub user_key_file: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Data {
            dir: PathBuf::new(),
            head_file: None,
            campaigns: PathBuf::new(),
            profiles: None,
            model: None,
            currency: Currency::default(),
            rates: None,
            rates_max_age_hours: rates_max_age_hours(),
            geo: None,
            notice_key_file: PathBuf::new(),
            user_key_file: PathBuf::new(),
        }
    }
}

/// The central banks' rates of a Friday hold over a long weekend.
fn rates_max_age_hours() -> u32 {
    96
}

/// What is wrong with a configuration, in one line: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{}: cannot read the configuration: {error}", path.display())))?;
        let mut config: Config = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(&text, span.start));
            ConfigError(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in config.files() {
            *file = folder.join(&*file);
        }
        for exchange in &mut config.exchanges {
            exchange.unlock(folder)?;
        }
        config.validate().map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        Ok(config)
    }

    /// Every file and folder it names, but for the keys of exchanges, which are read with it. What is not named here starts from
    /// no folder, and is out of reach once the process has started ([`crate::harden::landlock`]).
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let data = &mut self.data;
        [&mut data.dir, &mut data.campaigns, &mut data.notice_key_file, &mut data.user_key_file]
            .into_iter()
            .chain(data.profiles.as_mut())
            .chain(data.model.as_mut())
            .chain(data.rates.as_mut())
            .chain(data.geo.as_mut())
            .chain(data.head_file.as_mut())
            .chain(self.edge.files())
            .chain(self.privacy.vendor_list.as_mut())
            .chain(self.profiles.base.as_mut())
            .chain(self.profiles.key_file.as_mut())
            .chain(self.audit.file.as_mut())
            .chain(self.training.dir.as_mut())
            .chain(self.training.features.as_mut())
            .chain(self.supply.table.as_mut())
            .chain(self.score.files())
            .chain(self.stores.files())
            .chain(self.ingress.iter_mut().flat_map(Ingress::files))
    }

    /// The rules that span fields or that a type cannot hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(text));
        exchange::validate(&self.exchanges)?;
        let foreign =
            |exchange: &&Exchange| exchange.rules.price.is_encrypted() && exchange.rules.currency != self.data.currency;
        if let Some(exchange) = self.exchanges.iter().find(foreign) {
            return fail(format!(
                "exchange {:?}: encrypted prices are in the account's currency ({}), so currency must be that too",
                exchange.name, self.data.currency
            ));
        }
        let secure = self.server.public_url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let billed = |exchange: &&Exchange| {
            [exchange.rules.billing, exchange.rules.video_billing].contains(&exchange::Billing::Impression)
        };
        if let Some(exchange) = self.exchanges.iter().find(billed).filter(|_| !secure) {
            return fail(format!(
                "exchange {:?}: billing by \"impression\" puts our URL into markup: it needs a server.public_url with https",
                exchange.name
            ));
        }
        for exchange in &self.exchanges {
            edge::validate_qps(&exchange.name, exchange.qps)?;
            exchange.countries.validate("exchange")?;
        }
        self.edge.validate(&self.exchanges)?;
        self.privacy.validate()?;
        self.profiles.validate()?;
        self.audit.validate()?;
        self.training.validate()?;
        self.supply.validate(&self.exchanges)?;
        self.score.validate()?;
        self.tail.validate()?;
        self.stores.validate()?;
        self.process.validate()?;
        self.ingress.as_ref().map_or(Ok(()), |ingress| ingress.validate(&self.server))?;
        let fed = self.stores.dynamodb.as_ref().is_some_and(|from| !from.tenants.is_empty());
        if fed && self.data.campaigns.extension().is_none_or(|extension| extension != "json") {
            return fail(
                "stores.dynamodb.tenants: their campaigns are kept in data.campaigns: its name must end in .json"
                    .to_owned(),
            );
        }
        if self.stores.dynamodb.as_ref().is_some_and(|from| from.sellers) && self.supply.table.is_none() {
            return fail("stores.dynamodb.sellers: supply.table must say where the table is to stand".to_owned());
        }
        if self.server.node >= NODES {
            return fail(format!("server.node {}: nodes are numbered 0 to {}", self.server.node, NODES - 1));
        }
        self.server.check_health()?;
        if let Some(url) = &self.server.public_url {
            let authority = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let plain = |rest: &str| {
                !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
            };
            if !authority.is_some_and(plain) || url.len() > BASE_BYTES {
                return fail(format!(
                    "server.public_url {url:?}: give scheme and authority only, such as http://bid.example.com"
                ));
            }
        }
        Ok(())
    }

    /// What `--demo` runs on: one exchange named `generic`, everything else at its default, keys and ledger in `dir`.
    pub fn demo(dir: &Path) -> Config {
        Config {
            server: Server { debug_header: true, ..Server::default() },
            data: Data {
                dir: dir.to_owned(),
                notice_key_file: dir.join("notice.key"),
                user_key_file: dir.join("user.key"),
                ..Data::default()
            },
            edge: Edge::default(),
            privacy: Privacy::default(),
            profiles: Profiles::default(),
            supply: Supply::default(),
            audit: Audit::default(),
            score: Score::default(),
            tail: Tail::default(),
            training: Training::default(),
            stores: Stores::default(),
            process: Process::default(),
            ingress: None,
            exchanges: vec![Exchange { seat: "corebid".into(), ..Exchange::generic("generic") }],
        }
    }

    /// This machine.
    pub fn node(&self) -> NodeId {
        NodeId(self.server.node)
    }
}

/// Nodes of a fleet: 6 of a Snowflake's 10 worker bits, the other 4 tell a node's cores apart.
pub const NODES: u16 = 64;

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// A value that the command line writes the same way.
fn parsed<'de, D: serde::Deserializer<'de>, T: std::str::FromStr<Err = String>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl std::str::FromStr for Waiting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Waiting::Block),
            "hybrid" => Ok(Waiting::Hybrid),
            "spin" => Ok(Waiting::Spin),
            _ => Err(format!("{text:?} is not a way to wait: block, hybrid or spin")),
        }
    }
}

impl std::str::FromStr for Steering {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Steering::Off),
            "cpu" => Ok(Steering::Cpu),
            _ => Err(format!("{text:?} is not a way to steer: off or cpu")),
        }
    }
}

impl std::str::FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "io_uring" => Ok(Backend::IoUring),
            "epoll" => Ok(Backend::Epoll),
            _ => Err(format!("{text:?} is not a backend: io_uring or epoll")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[server]
wait = "spin"
[data]
dir = "data"
campaigns = "campaigns.toml"
notice_key_file = "notice.key"
user_key_file = "/etc/user.key"
[[exchange]]
name = "generic"
"#;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = std::env::temp_dir().join(format!("corebid-config-{}-{:p}", std::process::id(), &text));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("corebid.toml");
        std::fs::write(&path, text).unwrap();
        let loaded = Config::load(&path);
        std::fs::remove_dir_all(&dir).unwrap();
        loaded
    }

    #[test]
    fn paths_start_from_the_file() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.server.wait, Waiting::Spin);
        assert!(config.data.dir.is_absolute() && config.data.dir.ends_with("data"));
        assert_eq!(config.data.user_key_file, Path::new("/etc/user.key"));
    }

    #[test]
    fn price_keys_are_read_with_the_configuration() {
        use std::os::unix::fs::PermissionsExt;

        let dir = std::env::temp_dir().join(format!("corebid-price-keys-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("corebid.toml");
        let keys = "profile = \"google\"\nencryption_key_file = \"e.key\"\nintegrity_key_file = \"i.key\"\n";
        std::fs::write(&path, format!("{GOOD}{keys}")).unwrap();
        let missing = Config::load(&path).unwrap_err().0;
        assert!(missing.contains("e.key: cannot read the key"), "{missing}");
        for (name, mode, said) in [("e.key", 0o600, "i.key"), ("i.key", 0o644, "chmod 600")] {
            std::fs::write(dir.join(name), "00".repeat(32)).unwrap();
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Config::load(&path).unwrap_err().0;
            assert!(error.contains(said), "{error}");
        }
        std::fs::set_permissions(dir.join("i.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = Config::load(&path).unwrap();
        assert!(matches!(config.exchanges[0].reading, crate::wire::price::Reading::Encrypted(..)));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_server_may_be_left_out_and_formats_must_leave_something() {
        let config = load(&GOOD.replace("[server]\nwait = \"spin\"\n", "")).unwrap();
        assert_eq!(config.server.listen, Server::default().listen);
        let with = |edge: &str, exchange: &str| {
            load(&format!("{GOOD}formats = [{exchange}]\n[edge]\nformats = [{edge}]\n"))
                .map(|_| ())
                .map_err(|error| error.0)
        };
        assert_eq!(with("\"video\"", "\"banner\", \"video\""), Ok(()));
        let said = with("\"video\", \"audio\"", "\"banner\"").unwrap_err();
        assert!(said.contains("\"generic\"") && said.contains("edge.formats"), "{said}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let unknown = load(&GOOD.replace("wait =", "wiat =")).unwrap_err().0;
        assert!(unknown.contains("corebid.toml:3:") && unknown.contains("wiat"), "{unknown}");
        for (from, to, said) in [
            ("\"generic\"", "\"a/b\"", "exchange.name"),
            ("[server]", "[server]\nnode = 64", "server.node"),
            ("[server]", "[server]\npublic_url = \"http://h/path\"", "public_url"),
            ("\"spin\"", "\"nap\"", "nap"),
            ("[server]", "[server]\nhealth_path = \"/ready\"", "server.health_path"),
            ("[server]", "[server]\nhealth_path = \"health\"", "server.health_path"),
            ("[server]", "[server]\nhealth_ok = 199", "server.health_ok 199"),
            ("[server]", "[server]\nhealth_not_ready = 304", "server.health_not_ready 304"),
            ("\"generic\"", "\"generic\"\nqps = 0", "exchange.qps"),
            ("\"generic\"", "\"generic\"\ncountries.include = [\"US\"]", "exchange.countries"),
            ("[data]", "[edge]\nduplicates_ms = 0\n[data]", "edge.duplicates_ms"),
            ("[data]", "[edge]\nvelocity = { seconds = 60 }\n[data]", "edge.velocity: per_ip"),
            ("[data]", "[edge]\nvelocity = { per_ip = 0 }\n[data]", "edge.velocity.per_ip 0"),
            ("[data]", "[edge]\nvelocity = { per_user = 1, seconds = 3601 }\n[data]", "edge.velocity.seconds 3601"),
            ("[data]", "[edge]\nformats = [\"popup\"]\n[data]", "popup"),
            ("[data]", "[profiles]\nfetch_budget_us = 7001\n[data]", "profiles.fetch_budget_us 7001"),
            ("[data]", "[tail]\nthreshold_us = 0\n[data]", "tail.threshold_us 0"),
            ("[data]", "[profiles]\non_miss = \"guess\"\n[data]", "guess"),
            ("[data]", "[edge]\nformats = []\n[data]", "edge.formats is empty"),
            ("[[exchange]]\nname = \"generic\"", "", "exchange"),
            ("\"generic\"", "\"generic\"\nprofile = \"gogle\"", "corebid.toml:11: "),
            ("\"generic\"", "\"generic\"\ngzip = true", "corebid.toml:11: "),
            ("\"generic\"", "\"generic\"\ndeadline_ms = 9", "corebid.toml:9: "),
            ("[server]", "[server]\nlosses_final = true", "corebid.toml:3: "),
        ] {
            let error = load(&GOOD.replace(from, to)).unwrap_err().0;
            assert!(error.contains(said), "{error}");
        }
    }
}
