//! A way to the broker that can be closed, with everything that is on it.

use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub struct Proxy {
    pub port: u16,
    target: (String, u16),
    open: Option<JoinSet<()>>,
}

impl Proxy {
    /// Closed, on a port that is free now.
    pub fn to((host, port): (&str, u16)) -> Proxy {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Proxy { port: free.local_addr().unwrap().port(), target: (host.to_owned(), port), open: None }
    }

    pub async fn open(&mut self) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // What was cut off before still lingers on the port.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], self.port))).unwrap();
        let (listener, target) = (socket.listen(64).unwrap(), self.target.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(listener, target));
        self.open = Some(tasks);
    }

    pub async fn close(&mut self) {
        if let Some(mut tasks) = self.open.take() {
            tasks.shutdown().await;
        }
    }
}

async fn carry(listener: TcpListener, target: (String, u16)) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let target = target.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(target).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
