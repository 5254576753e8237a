//! Built-in campaigns.
