//! The matching of returns, against a model of what lapin and the broker may do, in every order they may do it.

use super::*;
use futures_util::task::noop_waker;
use lapin::BasicProperties;
use lapin::message::{BasicReturnMessage, Delivery};
use std::collections::VecDeque;

/// A channel as lapin keeps it: returns wait in a row, and each confirmation that completes takes the first.
#[derive(Default)]
struct Channel {
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
    fn send(&mut self, flight: &mut Flight, id: String, routable: bool) -> oneshot::Receiver<Answer> {
        let (confirm, confirmation) = oneshot::channel();
        let (answer, receiver) = oneshot::channel();
        let confirmation = async move { Ok(confirmation.await.unwrap()) };
        flight.pending.push(Pending { confirmation: Box::pin(confirmation), id: id.clone(), answer });
        self.unconfirmed.push(Sent { id, to_return: !routable, confirm });
        receiver
    }

    /// The broker returns one message that it must return.
    fn give_back(&mut self, random: &mut fastrand::Rng) {
        let due: Vec<usize> = (0..self.unconfirmed.len()).filter(|&i| self.unconfirmed[i].to_return).collect();
        if let Some(&index) = random.choice(&due) {
            self.unconfirmed[index].to_return = false;
            self.waiting.push_back(self.unconfirmed[index].id.clone());
        }
    }

    /// The broker confirms one message, never before its return.
    fn confirm(&mut self, random: &mut fastrand::Rng) {
        let due: Vec<usize> = (0..self.unconfirmed.len()).filter(|&i| !self.unconfirmed[i].to_return).collect();
        if let Some(&index) = random.choice(&due) {
            let sent = self.unconfirmed.swap_remove(index);
            let message = self.waiting.pop_front().map(|id| returned(&id));
            sent.confirm.send(Confirmation::Ack(message)).unwrap();
        }
    }
}

fn look(flight: &mut Flight) -> Poll<bool> {
    flight.poll(&mut Context::from_waker(&noop_waker()))
}

#[test]
fn every_return_finds_its_own_message() {
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut channel, mut flight) = (Channel::default(), Flight::default());
        let unroutable_share = random.f64() * random.f64();
        let mut expected = Vec::new();
        let mut sent = 0;
        while sent < 40 || !channel.unconfirmed.is_empty() {
            match random.u8(0..8) {
                0..3 if sent < 40 && flight.returned.is_empty() => {
                    let routable = random.f64() >= unroutable_share;
                    let answer = channel.send(&mut flight, format!("message {sent}"), routable);
                    expected.push((routable, answer));
                    sent += 1;
                }
                3..5 => channel.give_back(&mut random),
                5..7 => channel.confirm(&mut random),
                _ => drop(look(&mut flight)),
            }
        }
        let _ = look(&mut flight);
        for (routable, mut answer) in expected {
            let expected = if routable { Ok(()) } else { Err(Failure::Unroutable) };
            assert_eq!(answer.try_recv().unwrap(), expected, "seed {seed}");
        }
        assert!(flight.returned.is_empty() && flight.confirmed.is_empty());
    }
}

#[test]
fn two_returns_that_come_with_each_other() {
    // Both are returned, and then confirmed the other way round, as with one confirmation for several messages.
    let (mut channel, mut flight) = (Channel::default(), Flight::default());
    let mut answers = ["one", "two"].map(|id| channel.send(&mut flight, id.to_owned(), false));
    channel.waiting = ["one".to_owned(), "two".to_owned()].into();
    let [one, two] = channel.unconfirmed.try_into().ok().unwrap();
    two.confirm.send(Confirmation::Ack(Some(returned(&channel.waiting.pop_front().unwrap())))).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(true));
    assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()), "nothing is certain yet");
    one.confirm.send(Confirmation::Ack(Some(returned(&channel.waiting.pop_front().unwrap())))).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(true));
    assert!(answers.iter_mut().all(|answer| answer.try_recv() == Ok(Err(Failure::Unroutable))));
}

#[test]
fn without_returns_nobody_waits_for_others() {
    let (mut channel, mut flight) = (Channel::default(), Flight::default());
    let mut answers = ["one", "two", "three"].map(|id| channel.send(&mut flight, id.to_owned(), true));
    channel.unconfirmed.remove(1).confirm.send(Confirmation::Ack(None)).unwrap();
    channel.unconfirmed.remove(1).confirm.send(Confirmation::Nack(None)).unwrap();
    assert_eq!(look(&mut flight), Poll::Ready(true));
    assert_eq!(look(&mut flight), Poll::Pending);
    assert!(answers[0].try_recv().is_err());
    assert_eq!(answers[1].try_recv(), Ok(Ok(())));
    assert_eq!(answers[2].try_recv(), Ok(Err(Failure::Nacked)));
}

#[test]
fn whoever_is_left_on_a_broken_channel_is_told() {
    let mut flight = Flight::default();
    let (answer, mut one) = oneshot::channel();
    let broken = async { Err(lapin::ErrorKind::InvalidChannel(1).into()) };
    flight.pending.push(Pending { confirmation: Box::pin(broken), id: "one".to_owned(), answer });
    assert_eq!(look(&mut flight), Poll::Ready(false));
    // The one that broke is among them.
    flight.give_up(Failure::Disconnected);
    assert_eq!(one.try_recv(), Ok(Err(Failure::Disconnected)));
}
