//! Stand-ins for the systems around the gateway, for the demo and the tests. Nothing that `run` does may lean
//! on them.

pub mod iris;
pub mod recipient;

use axum::Router;
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A server on a task of its own, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    pub async fn start(listen: SocketAddr, router: Router) -> io::Result<Server> {
        Server::on(TcpListener::bind(listen).await?, router)
    }

    pub fn on(listener: impl Listener<Addr = SocketAddr>, router: Router) -> io::Result<Server> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        Ok(Server { address, _stop: stop.drop_guard() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
