//! corebid: an OpenRTB bidder for bare metal next to the exchanges. Thread per core, shared nothing.
//!
//! ```text
//!             exchanges                                        files · stores · scrapers
//!                │ HTTP/1.1 keep-alive                                   │
//!    ┌───────────▼───────────┐   SPSC ring (events)   ┌──────────────────┴───────────────┐
//!    │ bid core 0..N-1       │ ─────────────────────► │ reconciliation core              │ snapshots
//!    │ pinned, !Send         │                        │ pinned; ticks every 5 s          │ ◄──── housekeeping
//!    │ owns: listening socket│ ◄───────────────────── │ owns: ledger, node leases        │       thread (tokio):
//!    │  ring, buffers        │   SPSC ring (orders)   │                                  │       admin HTTP, reload,
//!    │  profile shard        │                        │ glommio: ledger on direct I/O    │       signals
//!    │  frequency shard      │                        └──────────────────────────────────┘
//!    │  budget sub-leases    │
//!    │  its own snapshot     │   Nothing else crosses. No lock, no read-modify-write, no Arc on the bid path.
//!    └───────────────────────┘
//! ```
//!
//! * A **bid core** ([`bid`]) owns everything it touches and answers a request with a synchronous function,
//!   [`bid::BidCore::handle`]: no clock, no socket, no allocation once warm.
//! * The **reconciliation core** ([`reconcile`]) owns the ledger and the leases. Its logic is a state machine too.
//! * **Housekeeping** ([`admin`]) serves metrics, reloads campaigns and hears signals. It may be slow; nobody waits for it.
//!
//! The modules below stand in the order in which a request passes them; `tests/tidy.rs` holds them to it.

pub mod units;
pub mod ids;
pub mod splitmix;
pub mod limits;
pub mod bounds;
pub mod clock;
pub mod config;
pub mod secrets;
pub mod topology;
pub mod harden;
pub mod launch;
pub mod reload;
#[cfg(feature = "stores")]
pub mod feed;

// The path of one request.
pub mod wire;
pub mod bid;
pub mod snapshot;
pub mod model;
pub mod shading;
pub mod ring;
pub mod reconcile;
pub mod authority;
pub mod store;
pub mod profile;
pub mod stores;

// Who watches it, and who drives it.
pub mod usdt;
pub mod metrics;
pub mod admin;
pub mod ingress;
pub mod audit;
pub mod training;
pub mod capture;
pub mod market;
pub mod lab;
pub mod doctor;
pub mod supply;
pub mod commands;
