//! The bid response writer.
