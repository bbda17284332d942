//! Accepting connections, with an end to what each of them may take. Knows nothing of what is answered.

use crate::tls::{Incoming, Peer};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Room for a request line and headers; hyper takes no less than 8 KiB.
pub(super) const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Remote(pub SocketAddr);

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; more wait in the backlog of the listener.
    pub connections: usize,
    /// For a request's head to arrive, and so for a connection to stay idle.
    pub head: Duration,
    /// For a connection as a whole: a peer that takes no answer cannot hold one for ever.
    pub connection: Duration,
    /// For a request at hand to end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Limits { connections: 128, head: seconds(10), connection: seconds(120), grace: seconds(5) }
    }
}

/// Over TLS where there is any; what is answered then knows the [`Peer`].
pub(super) async fn run(
    listener: TcpListener,
    tls: Option<Arc<Incoming>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let permit = room.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Some((Ok((stream, remote)), permit)) => {
                let router = router.clone().layer(Extension(Remote(remote)));
                let connection = connection(stream, tls.clone(), router, limits, shutdown.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Some((Err(error), _)) => {
                // Most often no file descriptors are left; accepting again at once would only spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            None => break,
        }
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<Incoming>>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let Some(tls) = tls else { return answer(stream, router, limits, shutdown).await };
    // As the files are now: who comes next may be shown another certificate.
    let agreeing = TlsAcceptor::from((*tls.now()).clone()).accept(stream);
    let agreed = shutdown.run_until_cancelled(tokio::time::timeout(limits.head, agreeing)).await;
    // Who cannot agree with us is of no interest to anybody.
    let Some(Ok(Ok(stream))) = agreed else { return };
    let peer = Peer::of(stream.get_ref().1);
    answer(stream, router.layer(Extension(peer)), limits, shutdown).await;
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        // How a peer breaks off is of no interest to anybody.
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(limits.connection) => {}
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(limits.grace, connection).await;
}
