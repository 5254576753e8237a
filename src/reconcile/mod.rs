//! The reconciliation core.
