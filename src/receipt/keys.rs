//! Signing keys, the published key set, and verification.
