//! Where a ledger lies, and how that is told: never with what is secret about it.

use super::node::Node;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a ledger lies: a file for one gateway, or a database server that several share.
#[derive(Clone)]
pub enum Place {
    File(PathBuf),
    /// A gateway says which node it is; an operator's command need not.
    Server(Box<PgConnectOptions>, Option<Node>),
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        Place::File(path.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Place {
        Place::File(path.clone())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without anything secret.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Server(server, _) => {
                write!(f, "database {} on {}", server.get_database().unwrap_or_default(), server.get_host())
            }
        }
    }
}
