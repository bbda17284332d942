//! TLS: who we are and whom we trust, out of files that may change while we run. Knows certificates and versions;
//! no broker, no address and no message.

pub mod certificate;
mod files;
mod incoming;
mod kept;
mod outgoing;

pub use files::{Error, Files};
pub use incoming::{Incoming, Peer};
pub use kept::{Expiry, Kept, Renewed};
pub use outgoing::{Outgoing, Trust};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use std::sync::{Arc, LazyLock};

/// Never older ones, whatever a default becomes.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}
