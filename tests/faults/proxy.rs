//! Between the gateway and its broker: carries AMQP frame by frame, and stops at a named one. What is known to be on
//! its way can then be cut off, kept back or left hanging.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Where it stops. Everything behind it in the same direction of the same connection stops with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// In the middle of a message for the gateway.
    HalfDelivery,
    /// Before the gateway's acknowledgement of what it took.
    Ack,
    /// In the middle of a message to a queue whose name begins so.
    HalfPublish(&'static str),
    /// Before the broker's confirmation of a message to such a queue.
    Confirm(&'static str),
    /// At once, in both directions: the connections are there, and nothing comes.
    Everything,
}

impl Stop {
    pub fn name(self) -> &'static str {
        match self {
            Stop::HalfDelivery => "half taken in",
            Stop::Ack => "accepted, not acknowledged",
            Stop::HalfPublish("ketenpoort.receipts") => "a receipt half published",
            Stop::HalfPublish(_) => "half published",
            Stop::Confirm(_) => "published, not confirmed",
            Stop::Everything => "silent",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    broker: String,
    state: Mutex<State>,
    /// Told of every change of it.
    changed: watch::Sender<()>,
    /// How often all connections were cut.
    cuts: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    /// Something stands still there.
    caught: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Broker,
    Gateway,
}

/// Of one connection: the queue that each channel published to last.
type Channels = Arc<Mutex<HashMap<u16, String>>>;

struct Frame {
    kind: u8,
    channel: u16,
    bytes: Vec<u8>,
}

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const PUBLISH: [u8; 4] = [0, 60, 0, 40];
const ACK: [u8; 4] = [0, 60, 0, 80];

impl Proxy {
    /// To a broker, as in `127.0.0.1:5672`.
    pub async fn start(broker: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (changed, cuts) = (watch::Sender::new(()), watch::Sender::new(0));
        let inner = Arc::new(Inner { address, broker, state: Mutex::default(), changed, cuts });
        let own = inner.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(own.clone().carry(near));
            }
        });
        Proxy(inner)
    }

    pub fn port(&self) -> u16 {
        self.0.address.port()
    }

    pub fn stop_at(&self, stop: Stop) {
        self.0.set(State { stop: Some(stop), caught: false });
    }

    /// Returns once something stands still.
    pub async fn caught(&self) {
        let mut changes = self.0.changed.subscribe();
        while !self.0.state().caught {
            changes.changed().await.unwrap();
        }
    }

    pub fn go_on(&self) {
        self.0.set(State::default());
    }

    /// Hangs up on both sides, whatever stands still or is half done.
    pub fn cut(&self) {
        self.0.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.changed.send_replace(());
    }

    async fn carry(self: Arc<Self>, near: TcpStream) {
        let mut cuts = self.cuts.subscribe();
        let Ok(far) = TcpStream::connect(&self.broker).await else { return };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let channels = Channels::default();
        tokio::select! {
            _ = self.pump(To::Broker, near_in, far_out, channels.clone()) => {}
            _ = self.pump(To::Gateway, far_in, near_out, channels) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn pump(&self, to: To, from: OwnedReadHalf, mut into: OwnedWriteHalf, channels: Channels) -> io::Result<()> {
        let mut from = BufReader::with_capacity(64 << 10, from);
        if to == To::Broker {
            let mut greeting = [0; 8];
            from.read_exact(&mut greeting).await?;
            into.write_all(&greeting).await?;
        }
        loop {
            let frame = Frame::read(&mut from).await?;
            let queue = note(&frame, to, &channels);
            self.wait(&frame, to, queue.as_deref()).await;
            into.write_all(&frame.bytes).await?;
        }
    }

    /// Until it may go on.
    async fn wait(&self, frame: &Frame, to: To, queue: Option<&str>) {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            let newly = {
                let mut state = self.state();
                if !state.stop.is_some_and(|stop| stop.is_at(frame, to, queue)) {
                    return;
                }
                !std::mem::replace(&mut state.caught, true)
            };
            if newly {
                self.changed.send_replace(());
                changes.mark_unchanged();
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The queue that a frame is about.
fn note(frame: &Frame, to: To, channels: &Channels) -> Option<String> {
    let mut channels = channels.lock().unwrap();
    match (frame.method(), to) {
        (Some(PUBLISH), To::Broker) => drop(channels.insert(frame.channel, frame.routing_key())),
        _ if frame.kind == HEADER || frame.method() == Some(ACK) => {}
        _ => return None,
    }
    channels.get(&frame.channel).cloned()
}

impl Stop {
    fn is_at(self, frame: &Frame, to: To, queue: Option<&str>) -> bool {
        let to_queue = |prefix: &str| queue.is_some_and(|queue| queue.starts_with(prefix));
        match self {
            Stop::Everything => true,
            Stop::HalfDelivery => to == To::Gateway && frame.kind == HEADER,
            Stop::Ack => to == To::Broker && frame.method() == Some(ACK),
            Stop::HalfPublish(prefix) => to == To::Broker && frame.kind == HEADER && to_queue(prefix),
            Stop::Confirm(prefix) => to == To::Gateway && frame.method() == Some(ACK) && to_queue(prefix),
        }
    }
}

impl Frame {
    async fn read(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Frame> {
        let mut head = [0; 7];
        from.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut bytes = vec![0; head.len() + size + 1];
        bytes[..head.len()].copy_from_slice(&head);
        from.read_exact(&mut bytes[head.len()..]).await?;
        Ok(Frame { kind: head[0], channel: u16::from_be_bytes([head[1], head[2]]), bytes })
    }

    fn method(&self) -> Option<[u8; 4]> {
        (self.kind == METHOD).then(|| self.bytes[7..11].try_into().unwrap())
    }

    /// Of a publish: after a reserved number and the name of the exchange.
    fn routing_key(&self) -> String {
        let exchange = usize::from(self.bytes[13]);
        let key = 14 + exchange;
        let length = usize::from(self.bytes[key]);
        String::from_utf8_lossy(&self.bytes[key + 1..key + 1 + length]).into_owned()
    }
}
