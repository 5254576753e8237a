//! Every bound of the program, with what it costs and why it is where it is. A bound on everything is what lets the
//! decision be a synchronous function that allocates nothing.

use std::time::Duration;

/// Scoring's share of a core's time is kept over windows of this length, ns (`bid::score::governor`): short beside what people
/// notice, long beside a turn of the loop.
pub const SCORE_WINDOW_NS: u64 = 100_000_000;
/// Request head (request line and headers), bytes; more is answered 431. Exchanges send 200 to 700 bytes.
pub const HEAD_BYTES: usize = 8 * 1024;
/// Headers of one request; more is answered 431.
pub const HEADERS: usize = 64;
/// Request body, bytes, also after inflation; more is answered 413 (contract: bodies to 1 MiB are read).
pub const BODY_BYTES: usize = 1024 * 1024;
/// Idle time after which a connection is closed, ns (exchanges keep connections for 120 to 150 s).
pub const IDLE_NS: u64 = 150_000_000_000;
/// One provided receive buffer, bytes: holds nearly every request whole, so that it is read in place.
pub const RECEIVE_BUFFER: usize = 16 * 1024;
/// Provided receive buffers per core. A power of two, as the kernel's buffer ring demands.
pub const RECEIVE_BUFFERS: usize = 128;
/// The shortest bid response that is compressed for who accepts gzip, bytes: a shorter one fits a TCP segment as it is
/// (1,460 bytes with its head), so compressing it saves the network nothing.
pub const GZIP_FROM: usize = 1_200;
/// One answer buffer, bytes: the longest answer, and room for a pipeline of short ones.
pub const ANSWER_BUFFER: usize = 64 * 1024;
/// Answer buffers per core: connections with an unsent answer at the same time. Those beyond wait with their input unread.
pub const ANSWER_BUFFERS: usize = 1024;
/// Connections per core; the descriptor limit of the process may be lower.
pub const CONNECTIONS: usize = 65_536;
/// Descriptors of the process that connections do not get: for the ledger, files that are read again, stores and the admin port,
/// which must go on when connections have taken all there are.
pub const RESERVED_DESCRIPTORS: usize = 256;
/// Input of a core that is not consumed yet (requests in pieces, and requests that wait): the size of a place in bytes, and how
/// many there are. The first hold nearly every request, the last the longest with its chunks, and all receive buffers there are behind
/// it: what the kernel has taken for a connection before it was paused. When there are none left, the request that has been coming for
/// longest gives up its own.
pub const INPUTS: [(usize, usize); 3] =
    [(RECEIVE_BUFFER, 2048), (16 * RECEIVE_BUFFER, 128), (LONGEST_REQUEST + RECEIVE_BUFFERS * RECEIVE_BUFFER, 16)];
/// The longest request that is read, bytes: chunks take an eighth beside the body, and there may be trailers.
const LONGEST_REQUEST: usize = BODY_BYTES + BODY_BYTES / 8 + 2 * HEAD_BYTES;
/// Time from the first bytes of a request until it has to be whole, ns; then it is answered 408. An exchange sends one within a
/// round trip or two, and would not wait for an answer for a second.
pub const REQUEST_NS: u64 = 10_000_000_000;
/// Time that the kernel may take to take an answer, ns, which it does at once unless the peer has not read for
/// [`SOCKET_SEND_BYTES`]; then the connection is closed.
pub const UNREAD_NS: u64 = 10_000_000_000;
/// The same while others wait for an answer buffer: half of their deadline.
pub const UNREAD_SHORT_NS: u64 = DEADLINE_NS / 2;
/// Answers that the kernel keeps for a peer that does not read, bytes (`SO_SNDBUF`; the kernel counts twice as much): some 40
/// bids, or thousands of 204. Without a bound it would be megabytes for each connection (`net.ipv4.tcp_wmem`).
pub const SOCKET_SEND_BYTES: usize = 128 * 1024;
/// Connections to the admin port at once: scrapers, consoles and operators are few.
pub const ADMIN_CONNECTIONS: usize = 64;
/// How long a connection may be silent while places run short, ns, before it may have to make room for another.
pub const CROWDED_NS: u64 = 10_000_000_000;
/// The same of a connection that has never sent a request.
pub const CROWDED_NEW_NS: u64 = 1_000_000_000;
/// Time from arrival to answer, ns (mission M3). `tmax` minus the exchange's network margin may be sooner.
pub const DEADLINE_NS: u64 = 8_000_000;
/// Requests that a core has read and not answered, and those whose turn it is next, are worth less than this of its time, ns: so
/// much of the deadline may pass in a queue. A turn of the loop reads half of it at most, for what comes while it runs waits for
/// its end (docs/decisions/0027-the-queue.md).
pub const QUEUE_NS: u64 = 4_000_000;
/// In a turn of the loop that answers many requests the clock is read again after so many.
pub const CLOCK_EVERY: u32 = 8;
/// What the kernel takes for a connection before the loop reads it, bytes (`SO_RCVBUF`, of which the kernel makes twice as much, to
/// pay for its own bookkeeping): several requests of the longest that exchanges send; longer ones flow through it.
pub const SOCKET_RECEIVE_BYTES: usize = 64 * 1024;
/// Time a notice may wait for the disk before it is answered 503, ns.
pub const NOTICE_NS: u64 = 5_000_000_000;
/// A turn of a bid core's loop that takes this much longer than its requests explain, or a wait that ends this much too late, is a
/// stall, ns (docs/STALLS.md).
pub const STALL_NS: u64 = 2_000_000;
/// The longest a loop that has connections waits, ns: what arrives while its process is stopped could not be told from what arrives
/// while it sleeps.
pub const BEAT_NS: u64 = 2_000_000;
/// The same of a core that nobody is connected to, ns: orders are heard of by then even if a wake-up was lost.
pub const LONELY_BEAT_NS: u64 = 100_000_000;
/// Notices waiting for the disk, per core; more are answered 503 at once.
pub const PARKED: usize = 16_384;

/// Bid requests of a core that wait for a profile. At 100,000 misses a second, each held for the longest time
/// (`profiles.fetch_budget_us`, 5 ms), some 500 wait; the next is answered at once.
pub const PARKED_BIDS: usize = 1024;
/// A bid request that waits, bytes, unpacked; a longer one is answered at once. Nearly all are shorter ([`RECEIVE_BUFFER`]).
pub const PARKED_BYTES: usize = RECEIVE_BUFFER;
/// What is left of a request's time when it stops waiting for a profile, ns: a decision, and a turn of a busy loop.
pub const MISS_MARGIN_NS: u64 = 1_000_000;
/// Users asked for by one bid core whom the stores thread has not taken up; more are not asked for.
pub const MISSES: usize = 2048;
/// Users fetched whom one bid core has not taken up. What does not fit is dropped, and the request answered by its own deadline.
pub const FETCHED: usize = 2048;
/// Users in one fetch: those of a `BatchGetItem` (DynamoDB's limit).
pub const FETCH_KEYS: usize = 100;
/// How long the first user of a fetch waits for others, ns.
pub const FETCH_WINDOW_NS: u64 = 200_000;
/// How long a fetch may take, ns, before it has failed: what comes too late for a request serves its user's next.
pub const FETCH_TIMEOUT_NS: u64 = 50_000_000;
/// Fetches under way at once. More would not make a slow store faster.
pub const FETCHES: usize = 32;
/// Users being fetched, or waiting to be, over all cores; more are told as failed at once.
pub const WANTED: usize = 16_384;

/// Connections of the ingress at most, whatever `ingress.max_connections` says: one thread serves them.
pub const INGRESS_CONNECTIONS: usize = 4096;
/// A request to the ingress for which every connection has room, bytes: nearly all are shorter.
pub const INGRESS_REQUEST: usize = 64 * 1024;
/// Longer requests at the same time; the next wait for one of them, and their peers in TCP.
pub const INGRESS_LONG: usize = 64;

/// What a bid core has copied of requests for a capture and housekeeping has not taken up, bytes: several of the longest bodies, or
/// 20 ms of 100,000 requests a second of 2 KB. Mapped from the start, touched only while a capture is on (docs/RECORD.md).
pub const CAPTURE_RING: usize = 4 * 1024 * 1024;
/// Captures ordered of a bid core that it has not heard of: one begins, or ends, at a time.
pub const CAPTURE_ORDERS: usize = 4;
/// A capture lasts so long at most, seconds.
pub const CAPTURE_SECONDS: u32 = 3600;
/// The `x-openrtb-version` of a captured request, bytes; a longer one is no version.
pub const VERSION_BYTES: usize = 8;

/// Nesting of a JSON document; deeper is refused as broken.
pub const JSON_DEPTH: usize = 64;
/// Impressions of a request that are considered; later ones are not bid on.
pub const IMPS: usize = 32;
/// Banner sizes (`w`/`h` and `format[]`) per impression that are considered.
pub const SIZES: usize = 16;
/// Shapes per impression that are considered: its banner sizes, and video, audio and native.
pub const SHAPES: usize = SIZES + 3;
/// Content categories of a site, app or content that are considered.
pub const CATEGORIES: usize = 32;
/// Assets of a native placement; one with more is not bid on.
pub const ASSETS: usize = 24;
/// A native request, bytes, without the escapes of the string it comes in; a longer one is not bid on.
pub const NATIVE_BYTES: usize = 16 * 1024;
/// A consent string, bytes; a longer one says nothing. Those of CMPs have 50 to 3,000; this bounds the walk over lists of ranges,
/// which have to be read to their end, at some 7 us.
pub const CONSENT_BYTES: usize = 4_000;
/// Open bids for one impression beside its deal bids, where an exchange takes several ("M+N bidding", 2.6 section 7.3).
pub const OPEN_BIDS: usize = 2;
/// Time zones that campaigns can name at once: the IANA database (2025b) has 598 names.
pub const ZONES: usize = 640;
/// Deals of a request that are considered, all impressions together.
pub const DEALS: usize = 32;
/// Exact durations (`rqddurs`) of a video or audio that are considered.
pub const DURATIONS: usize = 8;
/// Floors by duration (`durfloors`) of a video, an audio or a deal. More cannot be honoured: 204.
pub const DURATION_FLOORS: usize = 8;
/// Entries of each list of strings in a request (`bcat`, `badv`, `cur`, `wseat`, …) that are kept. A longer blocking list
/// cannot be honoured and is answered 204.
pub const LIST: usize = 256;

/// Nodes of a supply chain (`schain.nodes`): few have more than four. One with more is taken for malformed.
pub const CHAIN_NODES: usize = 16;
/// The `asi` and `sid` of a supply chain that have escapes in their JSON, bytes unescaped, all together: a domain has at most
/// 253, an account 64. What does not fit is taken for malformed.
pub const CHAIN_BYTES: usize = CHAIN_NODES * (256 + 64);
/// Bytes of a seller's account (`schain.nodes[].sid`, SupplyChain object 1.0: 64 characters).
pub const SID_BYTES: usize = 64;
/// Domains of a host, itself included and from above, that are asked for an ads.txt: one cache line each.
pub const HOST_LEVELS: usize = 8;
/// Managers of a publisher (`MANAGERDOMAIN`) that are kept: one for each country.
pub const MANAGERS: usize = 256;
/// Subdomains with an ads.txt of their own (`SUBDOMAIN`) that are kept of a domain.
pub const SUBDOMAINS: usize = 1024;

/// Campaigns, all told, that one process gives a slot to: 64 bytes of sub-lease per core each.
pub const SLOTS: usize = 262_144;
/// Candidates of one impression that go past the match.
pub const CANDIDATES: usize = 1024;
/// Columns of a feature schema, and sources it is made of: 384 bytes a row.
pub const FEATURES: usize = 96;
/// Arms of a rollout, those included that have left it and whose bids may still be won: what a bid is attributed to fits the byte
/// that its notices have for it, and every bid core counts by it.
pub const ARMS: usize = 8;
/// Bytes of the name of one.
pub const ARM_NAME_BYTES: usize = 32;
/// Segments of one user that are kept.
pub const SEGMENTS: usize = 256;
/// Bids in one answer.
pub const BIDS: usize = 8;
/// Creative markup, bytes, as it stands in a campaign file. An answer of one bid always fits [`ANSWER_BUFFER`].
pub const MARKUP_BYTES: usize = 16 * 1024;
/// The same with its macros filled in by the longest values and escaped for JSON: what a creative may add to an answer.
pub const EXPANDED_BYTES: usize = 2 * MARKUP_BYTES;
/// One bid in an answer, envelope included, bytes: markup, three notice URLs, and advertiser, disclosure, categories and ids in the worst
/// case that a campaign file and a request (with ids up to [`VALUE_BYTES`]) can make.
pub const BID_BYTES: usize = EXPANDED_BYTES + 10 * NOTICE_URL_BYTES;
/// A value of the request (an auction's or an impression's id) that a macro puts into markup, bytes unescaped. A creative with
/// the macro is not bid where it is longer: exchanges use UUIDs.
pub const VALUE_BYTES: usize = 128;
/// A privacy signal of the request (a TCF, GPP or US privacy string) that a macro puts into markup, bytes. A longer one is left
/// out, which tells who reads it that there is no consent: TCF strings of a thousand vendors have some 700.
pub const SIGNAL_BYTES: usize = 2048;
/// An exchange's own macro (its price macro, its click prefix), bytes.
pub const EXCHANGE_MACRO_BYTES: usize = 64;
/// A URL of a notice, bytes (Xandr: nurl at most 2,000 characters expanded).
pub const NOTICE_URL_BYTES: usize = 2_000;
/// The address of a click's or a conversion's notice, which has no macros.
pub const OUTCOME_URL_BYTES: usize = 512;

/// A profile's value in the clear, bytes: all segments that are kept, and some 250 counts. Most have less than a kilobyte.
pub const PROFILE_BYTES: usize = 4096;
/// A core's shard of profiles with all that belongs to it, bytes. Pages that were never used take no memory.
pub const SHARD_BYTES: usize = 64 * 1024 * 1024;
/// The smallest shard, bytes: its smaller log holds one of the longest profiles.
pub const SHARD_BYTES_LEAST: usize = 256 * 1024;
/// How long a shard relies on a profile before it is fetched again, ns.
pub const PROFILE_LIFE_NS: u64 = 3_600_000_000_000;
/// How long a shard relies on nothing being known of a user, ns: a new profile is found after so long at the latest.
pub const UNKNOWN_LIFE_NS: u64 = 300_000_000_000;
/// Counts that a core's frequency shard is made for: 16 MiB, with places for 7 where 4 are expected.
pub const SHARD_FREQUENCIES: usize = 1 << 20;
/// Caps of a campaign: one for each that it can count by, over each time.
pub const CAPS: usize = crate::profile::count::COUNTERS;
/// Users in a second whose counts a core asks the store for again.
pub const REFRESHES: u32 = 1000;
/// Billed impressions that wait to be told to the store of counters; of more, the oldest are lost, and counted. A node bills some
/// thousands a second, so that this is minutes of a store that does not answer.
pub const DELTAS: usize = 1 << 18;
/// Billed impressions on their way from the reconciliation core to the stores thread.
pub const DELTAS_CROSSING: usize = 1 << 14;
/// Billed impressions in one pipeline to it.
pub const DELTAS_AT_ONCE: usize = 512;
/// Counts that the store keeps of a user; of more, those whose period is over go, then those that are forgotten soonest.
pub const COUNTS: usize = 128;
/// For how long after the last impression a lifetime's count is kept, s: thirteen months.
pub const LIFETIME_S: u64 = 396 * 24 * 3600;
/// Counts of the users whose impressions are counted exactly, to estimate how many go beyond a cap.
pub const SHADOW_COUNTS: usize = 1 << 16;

/// Bids that a core remembers to know the copies of their auctions: 16 bytes each, if `edge.duplicates_ms` is set. Within 200 ms
/// a core makes about ten thousand.
pub const DUPLICATES: usize = 1 << 16;
/// Addresses, and as many users, whose requests a core counts: 16 bytes each, of each kind that `edge.velocity` limits. When there
/// are more, those that came least are forgotten.
pub const VELOCITY: usize = 1 << 18;

/// Places for supply paths of which requests and bids are counted, if `supply.paths` is set: 256 bytes each, per core. An exchange
/// sells through tens to hundreds of systems; the paths beyond are counted together.
pub const PATHS: usize = 8192;

/// Events from one bid core that the reconciliation core has not yet read. A full ring refuses the bid (`ring_full`).
pub const EVENTS: usize = 65_536;
/// Orders to one bid core that it has not yet read. What does not fit stays with the reconciler and is counted.
pub const ORDERS: usize = 65_536;
/// Snapshots on their way to, or back from, one bid core.
pub const SNAPSHOTS_IN_FLIGHT: usize = 4;

/// Records of the compliance log from one bid core that are not yet written; more are lost, and counted. It is emptied ten times a
/// second.
pub const AUDITED: usize = 4096;

/// Rows of the training log from one bid core that its thread has not yet taken; more are lost, and counted. Half a kilobyte each;
/// it is emptied ten times a second.
pub const ROWS: usize = 4096;
/// What became of them, on the way from the reconciliation core to the same thread.
pub const OUTCOMES: usize = 1 << 15;

/// How much of the time to come the reservation ids of a core may have used up, ns; a bid beyond it is refused
/// (`ids_exhausted`). A second holds 4,096,000 ids, and a core makes at most some 100,000 bids in one: this is only reached when
/// something is wrong. It is a tenth of what a restart leaves between its ids and those before it, [`LEASE_NS`].
pub const IDS_BORROWED_NS: u64 = 1_000_000_000;

/// Cells of which prices are learnt, on the reconciliation core: 6.2 KiB each, in 26 MB for all. Those of all hours of 255 exchanges
/// are 3,060; the rest is for hours, and the hour that saw least makes room for another.
pub const SHADING_CELLS: usize = 4096;
/// Cells that are fitted in one tick: some 50 us each.
pub const SHADING_FITS: usize = 32;
/// Bids of one exchange that are watched until it is known what became of them, some 150 bytes each: 270 a second where that is after a
/// minute. Those beyond are not learnt from.
pub const SHADED_BIDS: usize = 16_384;
/// Bids that are judged in one tick: 6,500 a second, at some 100 ns each.
pub const SHADING_JUDGED: usize = 32_768;

/// The reconciliation tick, ns.
pub const TICK_NS: u64 = 5_000_000_000;
/// What a limit of requests per second is held over, ns: ten seconds, and what the clock of who checks it may be off.
pub const QUOTA_WINDOW_NS: u64 = 2 * TICK_NS + 50_000_000;
/// Requests per second that an exchange can be limited to: a window of them is counted in 32 bits.
pub const QPS: u32 = 10_000_000;
/// A lease lives two missed ticks, ns.
pub const LEASE_NS: u64 = 2 * TICK_NS;
/// A campaign that spends more than [`RUNAWAY_TIMES`] its target for this long is stopped, ns (mission M13).
pub const RUNAWAY_NS: u64 = 60 * 1_000_000_000;
/// See [`RUNAWAY_NS`].
pub const RUNAWAY_TIMES: i64 = 3;
/// Bids' worth of money that a campaign may spend beyond that. At its target, chance alone brings a campaign there less than once in
/// a million campaign-days, whatever its budget (docs/decisions/0022-guards.md).
pub const RUNAWAY_BIDS: i64 = 12;
/// The oldest event that is not on disk, or not reported, may be this old, ns; then the node's leases are revoked (mission M14).
pub const FEED_LAG_NS: u64 = 10 * 1_000_000_000;
/// The lag is gone below this, ns: reports leave once a tick, so that an event may be a tick old when all is well.
pub const FEED_CLEAR_NS: u64 = TICK_NS + TICK_NS / 2;
/// H1, ns: silent reservations leave the bid core's account (money.md).
pub const H1_NS: u64 = 60_000_000_000;
/// H2, ms, where an exchange's section does not say otherwise: expiry of a signed notice URL, after which a silent
/// reservation may be released (with [`EPSILON_MS`]).
pub const H2_MS: u64 = 30 * 60 * 1000;
/// For how long before a failover the authority may lose bookings that it had confirmed, ms: nodes keep what they reported for as
/// long, to report it again. A grant counts only once it is safe on a replica, so of grants no more than a lease's length is lost.
pub const LOST_WRITES_MS: u64 = 10 * 60 * 1000;
/// Bookings in one report; the rest follows with the next.
pub const REPORTED_BOOKINGS: usize = 4096;
/// epsilon, ms: largest difference between two of our clocks plus the longest `tmax` honoured.
pub const EPSILON_MS: u64 = 2_000;

/// A model's file, a library's own or an import, bytes: a thousand trees of 63 leaves are 10 MB of JSON.
pub const MODEL_BYTES: u64 = 1 << 30;
/// Features of a model.
pub const MODEL_FEATURES: usize = 1 << 16;
/// Outputs (classes) of a model.
pub const MODEL_OUTPUTS: usize = 1024;
/// Trees of a model.
pub const MODEL_TREES: usize = 1 << 16;
/// Inner nodes of a model, all trees together.
pub const MODEL_NODES: usize = 1 << 24;
/// Words of 64 categories in the sets of a model: 32 MiB.
pub const MODEL_SET_WORDS: usize = 1 << 22;
/// The largest category, and one: what XGBoost takes, whose values are `f32`.
pub const MODEL_CATEGORIES: u32 = 1 << 24;
/// Bytes of a model's rows of bits: they stay in the second-level cache of a core (docs/decisions/0033-scoring-engine.md).
pub const MODEL_ROWS_BYTES: usize = 1 << 20;
/// Members of all sets of categories that a model's bits are made for; 16 bytes for each while they are. Nodes with the largest sets
/// are walked if there are more.
pub const MODEL_MEMBERS: u64 = 1 << 24;
/// Points of a model's isotonic calibration.
pub const MODEL_POINTS: usize = 4096;
/// Lists and objects in one another in a model's file; XGBoost nests seven.
pub const MODEL_DEPTH: usize = 32;

/// An ads.txt or app-ads.txt, bytes, as sent and inflated; a longer one is not taken. The longest in use are some megabytes.
pub const ADS_TXT_BYTES: u64 = 8 * 1024 * 1024;
/// A sellers.json, bytes, as sent and inflated; a longer one is not taken. The largest exchange's has more than 100 MB.
pub const SELLERS_JSON_BYTES: u64 = 512 * 1024 * 1024;
/// A text in it, bytes; a file with a longer one is not taken. Names and comments have some hundreds.
pub const SELLERS_JSON_TEXT: usize = 64 * 1024;
/// Lists and objects in one another in it: a seller's own `ext` begins at the fourth. Deeper ones are no sellers.json.
pub const SELLERS_JSON_DEPTH: usize = 64;
/// Subdomains, and inventory partners, of one file that are fetched too. No more partners are kept in the supply table: a seller
/// whom the publisher does not name costs a cache line for each.
pub const REFERENCES: usize = 100;
/// Further files that are fetched for one target, over its subdomains and their partners: what one publisher can make us fetch.
pub const REFERENCES_OF_TARGET: usize = 200;
/// Redirects on the way to one file.
pub const REDIRECTS: u8 = 5;
/// Head of an answer to the crawler, bytes.
pub const CRAWL_HEAD_BYTES: usize = 32 * 1024;
/// How long a fetched file may be relied on where its headers do not say (ads.txt 1.1, 3.6: seven days).
pub const SUPPLY_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The same where they say more.
pub const SUPPLY_LIFE_MOST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a file that is not fetched any more stays in the store beyond its life.
pub const SUPPLY_FORGET: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a file that could not be fetched is left alone; doubled by each failure.
pub const BACK_OFF: Duration = Duration::from_secs(30 * 60);
/// The same at its longest.
pub const BACK_OFF_MOST: Duration = Duration::from_secs(24 * 3600);

const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two());
const _: () = assert!(2 * QUEUE_NS <= DEADLINE_NS);
const _: () = assert!(PARKED_BIDS <= MISSES && MISS_MARGIN_NS < DEADLINE_NS);
const _: () = assert!(IDS_BORROWED_NS < LEASE_NS);
const _: () = assert!(SHARD_BYTES >= SHARD_BYTES_LEAST);
const _: () = assert!(HEAD_BYTES <= RECEIVE_BUFFER);
const _: () = assert!(INPUTS[0].0 >= RECEIVE_BUFFER && INPUTS[0].0 < INPUTS[1].0 && INPUTS[1].0 < INPUTS[2].0);
const _: () = assert!(BID_BYTES < ANSWER_BUFFER);
const _: () = assert!(LEASE_NS > TICK_NS);
const _: () = assert!(FEED_CLEAR_NS > TICK_NS && FEED_CLEAR_NS < FEED_LAG_NS);
const _: () = assert!(RUNAWAY_NS.is_multiple_of(4 * TICK_NS));
