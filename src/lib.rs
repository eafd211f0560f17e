//! limn.
