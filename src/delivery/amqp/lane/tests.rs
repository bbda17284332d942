//! The matching of returns, against a model of what lapin and the broker may do, in every order they may do it.

use super::*;
use futures_util::task::noop_waker;
use lapin::BasicProperties;
use lapin::message::{BasicReturnMessage, Delivery};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;

/// A channel as lapin keeps it: returns wait in a row, and each confirmation that completes takes the first.
#[derive(Default)]
struct Channel {
    random: fastrand::Rng,
    waiting: VecDeque<String>,
    unconfirmed: Vec<Sent>,
}

struct Sent {
    id: String,
    /// The broker has no queue for it, and has not said so yet.
    to_return: bool,
    confirm: oneshot::Sender<Confirmation>,
}

fn returned(id: &str) -> BasicReturnMessage {
    let mut delivery = Delivery::mock(0, "".into(), "".into(), false, Vec::new());
    delivery.properties = BasicProperties::default().with_message_id(id.into());
    BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() }
}

impl Channel {
    /// Something comes from the broker, or nothing: some message is returned, or confirmed but never before its
    /// return.
    fn goes_on(&mut self) {
        let returns = self.random.bool();
        let due = (0..self.unconfirmed.len()).filter(|&i| self.unconfirmed[i].to_return == returns);
        let Some(index) = self.random.choice(due.collect::<Vec<_>>()) else { return };
        if returns {
            self.unconfirmed[index].to_return = false;
            self.waiting.push_back(self.unconfirmed[index].id.clone());
        } else {
            let sent = self.unconfirmed.swap_remove(index);
            let message = self.waiting.pop_front().map(|id| returned(&id));
            sent.confirm.send(Confirmation::Ack(message)).unwrap();
        }
    }
}

/// Sends a message on a channel that goes on while it is looked at.
fn send(channel: &Arc<Mutex<Channel>>, flight: &mut Flight, id: &str, routable: bool) -> oneshot::Receiver<Answer> {
    let (confirm, mut confirmation) = oneshot::channel();
    let (answer, receiver) = oneshot::channel();
    channel.lock().unwrap().unconfirmed.push(Sent { id: id.to_owned(), to_return: !routable, confirm });
    let channel = channel.clone();
    let confirmation = poll_fn(move |cx| {
        let mut channel = channel.lock().unwrap();
        for _ in 0..channel.random.u8(0..3) {
            channel.goes_on();
        }
        Pin::new(&mut confirmation).poll(cx).map(|confirmation| Ok(confirmation.unwrap()))
    });
    flight.pending.push(Pending { confirmation: Box::pin(confirmation), id: id.to_owned(), answer });
    receiver
}

fn look(flight: &mut Flight) -> Poll<lapin::Result<()>> {
    flight.poll(&mut Context::from_waker(&noop_waker()))
}

#[test]
fn every_return_finds_its_own_message() {
    const MESSAGES: usize = 40;
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let channel = Channel { random: fastrand::Rng::with_seed(seed + 1), ..Channel::default() };
        let (channel, mut flight) = (Arc::new(Mutex::new(channel)), Flight::default());
        let unroutable_share = random.f64() * random.f64();
        let mut expected = Vec::new();
        while expected.len() < MESSAGES || !flight.pending.is_empty() {
            if expected.len() < MESSAGES && flight.returned.is_empty() && random.bool() {
                let routable = random.f64() >= unroutable_share;
                let id = format!("message {}", expected.len());
                expected.push((routable, send(&channel, &mut flight, &id, routable)));
            } else {
                let pending = flight.pending.len();
                assert_eq!(look(&mut flight).is_ready(), flight.pending.len() < pending);
            }
        }
        for (routable, mut answer) in expected {
            let expected = if routable { Ok(()) } else { Err(Failure::Unroutable) };
            assert_eq!(answer.try_recv().unwrap(), expected, "seed {seed}");
        }
        assert!(flight.returned.is_empty() && flight.confirmed.is_empty());
    }
}

/// A message whose confirmation comes when the test says so.
fn sent(flight: &mut Flight, id: &str) -> (oneshot::Sender<Confirmation>, oneshot::Receiver<Answer>) {
    let (confirm, confirmation) = oneshot::channel();
    let (answer, receiver) = oneshot::channel();
    let confirmation = async move { Ok(confirmation.await.unwrap()) };
    flight.pending.push(Pending { confirmation: Box::pin(confirmation), id: id.to_owned(), answer });
    (confirm, receiver)
}

#[test]
fn two_returns_that_come_with_each_other() {
    // Both are returned, and then confirmed the other way round, as with one confirmation for several messages.
    let mut flight = Flight::default();
    let (confirm_one, mut one) = sent(&mut flight, "one");
    let (confirm_two, mut two) = sent(&mut flight, "two");
    confirm_two.send(Confirmation::Ack(Some(returned("one")))).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(Ok(())));
    assert!(one.try_recv().is_err() && two.try_recv().is_err(), "nothing is certain yet");
    confirm_one.send(Confirmation::Ack(Some(returned("two")))).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(Ok(())));
    assert_eq!(one.try_recv(), Ok(Err(Failure::Unroutable)));
    assert_eq!(two.try_recv(), Ok(Err(Failure::Unroutable)));
}

#[test]
fn without_returns_nobody_waits_for_others() {
    let mut flight = Flight::default();
    let (_confirm_one, mut one) = sent(&mut flight, "one");
    let (confirm_two, mut two) = sent(&mut flight, "two");
    let (confirm_three, mut three) = sent(&mut flight, "three");
    confirm_two.send(Confirmation::Ack(None)).unwrap();
    confirm_three.send(Confirmation::Nack(None)).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(Ok(())));
    assert_eq!(look(&mut flight), Poll::Pending);
    assert!(one.try_recv().is_err());
    assert_eq!(two.try_recv(), Ok(Ok(())));
    assert_eq!(three.try_recv(), Ok(Err(Failure::Nacked)));
}

#[test]
fn whoever_is_left_on_a_broken_channel_is_told() {
    let mut flight = Flight::default();
    let (answer, mut one) = oneshot::channel();
    let broken = async { Err(lapin::ErrorKind::InvalidChannel(1).into()) };
    flight.pending.push(Pending { confirmation: Box::pin(broken), id: "one".to_owned(), answer });
    assert!(matches!(look(&mut flight), Poll::Ready(Err(_))));
    // The one that broke is among them.
    flight.give_up(Failure::Disconnected);
    assert_eq!(one.try_recv(), Ok(Err(Failure::Disconnected)));
}
