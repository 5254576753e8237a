//! Sub-leases.
