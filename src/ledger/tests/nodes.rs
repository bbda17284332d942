//! Several gateways at one database.
