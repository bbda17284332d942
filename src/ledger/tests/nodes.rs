//! Several gateways at one database: nothing twice, nothing overtaken, nothing left with one that is gone.

use super::houses::{node, options_of, run};
use super::*;
use crate::record::{Kind, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Ground = houses::Ground<OnServer>;

/// Two gateways.
struct Pair {
    ground: Ground,
    one: Ledger,
    other: Ledger,
}

impl Pair {
    async fn new() -> Pair {
        let ground = Ground::new().await;
        let (one, other) = (open(as_node(&ground, "een")).await, open(as_node(&ground, "twee")).await);
        Pair { ground, one, other }
    }

    /// The time of the first one is over, as if nothing had been heard of it for long.
    async fn lose_one(&self) {
        let over = "UPDATE node SET until = now() - interval '1 hour', term = interval '0' WHERE name = 'een'";
        run(options_of(&self.ground.place), over.to_owned()).await;
    }
}

fn as_node(ground: &Ground, name: &str) -> Place {
    Place::Server(Box::new(options_of(&ground.place).clone()), Some(node(name)))
}

async fn accepted(ledger: &Ledger, message: NewMessage) -> (DeliveryKey, Option<Hold>) {
    match ledger.accept(message).await.unwrap() {
        Accepted::New { deliveries, hold, .. } => (deliveries[0], hold),
        other => panic!("not new: {other:?}"),
    }
}

#[tokio::test]
async fn what_one_has_in_hand_no_other_gets_and_what_waits_only_one() {
    let Pair { one, other, .. } = &Pair::new().await;
    let (held, _) = accepted(one, message("a", vec![ready()])).await;
    let waits = accept_one(one, message("b", vec![waiting(Outcome::Held, Some(at(9)))])).await;
    let (first, second) = tokio::join!(keys_due(one, at(9)), keys_due(other, at(9)));
    assert_eq!([first, second].concat(), [waits]);
    let late = keys_due(other, later()).await;
    assert!(!late.contains(&held), "not as long as the one is there, however long it takes");
    one.retry(held, 1, at(20), reason(Code::DeliveryFailed)).await.unwrap();
    assert_eq!(keys_due(other, at(20)).await, [held]);
    for refused in [
        one.retry(held, 2, at(30), reason(Code::DeliveryFailed)).await.err(),
        one.wait(held, Outcome::Parked, reason(Code::RecipientRefused), None).await.err(),
        one.finish(held, Outcome::Refused, reason(Code::NoGround), receipt(), at(30)).await.err(),
        one.make_ready(held, outgoing(), decision("nu")).await.err(),
    ] {
        assert!(matches!(refused, Some(Error::NoSuchRow)), "{refused:?}");
    }
}

#[tokio::test]
async fn the_same_message_at_two_gateways_at_once_is_one() {
    let Pair { one, other, .. } = &Pair::new().await;
    for id in 0..20 {
        let message = || message(&id.to_string(), vec![ready()]);
        let (first, second) = tokio::join!(one.accept(message()), other.accept(message()));
        let new = [first.unwrap(), second.unwrap()].iter().filter(|a| matches!(a, Accepted::New { .. })).count();
        assert_eq!(new, 1);
    }
    assert_eq!(count(one, "SELECT count(*) FROM message").await, 20);
}

#[tokio::test]
async fn what_one_had_that_is_gone_is_due_elsewhere_and_it_sends_nothing_more_of_it() {
    let pair = Pair::new().await;
    let Pair { one, other, .. } = &pair;
    let (key, hold) = accepted(one, message("a", vec![ready()])).await;
    let hold = hold.unwrap();
    assert!(one.holds(hold).await);
    pair.lose_one().await;
    assert_eq!(keys_due(other, Timestamp::now()).await, [key]);
    // Whatever it writes next, it learns of it.
    let _ = one.claim_due(at(0), 1, LEASE).await;
    assert!(!one.holds(hold).await);
    // But what went out went out, and there is one receipt of it.
    let first = one.delivered(key, receipt(), at(1)).await.unwrap();
    let second = other.delivered(key, receipt(), at(2)).await.unwrap();
    assert_eq!(first.jws, second.jws);
    // Who has it in hand sends it; the other only once that one is gone.
    assert!(other.receipts_due(at(9), 9, LEASE).await.unwrap().is_empty());
    pair.lose_one().await;
    let due = other.receipts_due(at(9), 9, LEASE).await.unwrap();
    assert_eq!(due.iter().map(|due| due.key).collect::<Vec<_>>(), [key]);
    other.receipt_sent(key).await.unwrap();
    // It takes part again.
    let (again, hold) = accepted(one, message("b", vec![ready()])).await;
    assert!(one.holds(hold.unwrap()).await);
    assert_eq!(keys_due(other, later()).await, []);
    one.delivered(again, receipt(), at(3)).await.unwrap();
}

#[tokio::test]
async fn an_older_one_that_is_being_sent_elsewhere_goes_before_a_newer_one() {
    let Pair { one, other, .. } = &Pair::new().await;
    let (older, _) = accepted(one, in_series("a", 7, 1, vec![ready()])).await;
    let (newer, hold) = accepted(other, in_series("b", 7, 2, vec![ready()])).await;
    assert_eq!(hold, None, "it is not to be sent yet");
    assert_eq!(keys_due(other, at(1)).await, []);
    one.delivered(older, receipt(), at(1)).await.unwrap();
    assert_eq!(keys_due(other, at(1)).await, [newer]);
    let due = other.delivery(newer).await.unwrap();
    assert_eq!(due.reason.unwrap().code, Code::InTurn);
    // And the other way round: what comes late never goes out.
    let late = one.accept(in_series("c", 7, 1, vec![ready()])).await.unwrap();
    assert!(matches!(late, Accepted::Superseded { .. }));
}

#[tokio::test]
async fn whoever_has_the_older_one_in_hand_may_take_up_the_newer_one_too() {
    let Pair { one, other, .. } = &Pair::new().await;
    let (older, _) = accepted(one, in_series("a", 7, 1, vec![ready()])).await;
    let (newer, _) = accepted(other, in_series("b", 7, 2, vec![volatile(State::Ready(outgoing()))])).await;
    let due = one.claim_due(at(1), 9, LEASE).await.unwrap();
    // Decided anew where it rests on facts.
    assert_eq!(due.iter().map(|due| (due.delivery, due.raw.is_some())).collect::<Vec<_>>(), [(newer, true)]);
    let retried = one.retry(older, 1, at(9), reason(Code::DeliveryFailed)).await.unwrap();
    assert_eq!(retried, Retry::Superseded);
}

#[tokio::test]
async fn what_waits_for_its_recipient_is_not_taken_up_beside_another_of_its_series() {
    let Pair { one, other, .. } = &Pair::new().await;
    let recipient = PartyId::new("gemeente:0363");
    let claim = async |ledger: &Ledger| {
        let due = ledger.claim_waiting(&recipient, 0, 9, Timestamp::MAX, LEASE).await.unwrap();
        due.iter().map(|due| due.delivery).collect::<Vec<_>>()
    };
    let equal = |id| in_series(id, 7, 1, vec![ready()]);
    let (first, second) = (accept_one(one, equal("a")).await, accept_one(one, equal("b")).await);
    one.wait_for_recipient(second, 0, reason(Code::RecipientBusy), false).await.unwrap();
    assert_eq!(claim(other).await, []);
    one.delivered(first, receipt(), at(1)).await.unwrap();
    assert_eq!(claim(other).await, [second]);
}

#[tokio::test]
async fn a_newer_one_is_free_once_the_gateway_with_the_older_one_is_gone() {
    let pair = Pair::new().await;
    let Pair { one, other, .. } = &pair;
    let (older, _) = accepted(one, in_series("a", 7, 1, vec![ready()])).await;
    let (newer, _) = accepted(other, in_series("b", 7, 2, vec![ready()])).await;
    pair.lose_one().await;
    assert_eq!(keys_due(other, Timestamp::now()).await, [newer]);
    let row = other.delivery(older).await.unwrap();
    assert_eq!(row.outcome, Outcome::Superseded);
    assert!(row.reason.unwrap().detail.contains("may have reached the recipient"));
    // Whoever remembers it from before knows that it has ended.
    assert_eq!(owing(other).await, [older]);
    other.attach_receipt(older, receipt()).await.unwrap();
}

#[tokio::test]
async fn a_record_that_came_in_elsewhere_counts_at_once() {
    let Pair { one, other, .. } = &Pair::new().await;
    let subject = person(Some(1), Some(2));
    let mark = one.mark(subject).await;
    assert!(one.is_current(&mark).await && one.records(subject, &[]).await.unwrap().is_empty());
    let waits = volatile(State::Waiting {
        outcome: Outcome::AwaitingAssessment,
        reason: reason(Code::AssessmentNeeded),
        again_at: Some(later()),
    });
    let before = accept_one(one, NewMessage { subject, ..message("a", vec![waits.clone()]) }).await;
    let record = Record { kind: Kind::Beoordeling, id: "b".to_owned(), sequence: None, content: "{}".to_owned() };
    let record = NewMessage { subject: person(None, Some(2)), record: Some(record), ..message("r", vec![refused()]) };
    accept(other, record).await;
    assert!(!one.is_current(&mark).await);
    assert_eq!(one.records(subject, &[]).await.unwrap().len(), 1);
    // What was decided without it is decided anew, also where that is told only now.
    let after = NewMessage { subject, mark: Some(mark), ..message("c", vec![waits]) };
    let after = accept_one(one, after).await;
    assert_eq!(keys_due(one, Timestamp::now()).await, [before, after]);
}

#[tokio::test]
async fn a_name_is_for_one_and_whoever_stops_leaves_what_it_had() {
    let Pair { ground, one, other } = Pair::new().await;
    let twin = Ledger::open(as_node(&ground, "een"), NonZeroUsize::MIN, keys_of(&[KEY])).await;
    assert!(matches!(twin, Err(Error::InUse)));
    let (key, _) = accepted(&one, message("a", vec![ready()])).await;
    one.close().await;
    assert_eq!(keys_due(&other, Timestamp::now()).await, [key]);
    open(as_node(&ground, "een")).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again_and_what_was_in_hand_still_is() {
    let Pair { ground, one, other } = Pair::new().await;
    let (key, hold) = accepted(&one, message("a", vec![ready()])).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'node'::regclass::oid";
    run(options_of(&ground.place), cut.to_owned()).await;
    let mut tries = 0;
    while one.accept(message("b", vec![ready()])).await.is_err() {
        tries += 1;
        assert!(tries < 50, "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(one.is_writable() && one.holds(hold.unwrap()).await);
    let _ = other.claim_due(at(0), 1, LEASE).await;
    assert_eq!(keys_due(&other, later()).await, []);
    one.delivered(key, receipt(), at(1)).await.unwrap();
}

/// PostgreSQL takes no NUL; a partner may well send one in a name.
#[tokio::test]
async fn a_name_that_the_database_cannot_hold_stops_nothing() {
    let house = House::<OnServer>::new().await;
    let strange = || message("a\0b", vec![ready()]);
    let key = accept_one(&house.ledger, strange()).await;
    assert_eq!(house.ledger.delivery(key).await.unwrap().id, "a\u{fffd}b");
    assert!(matches!(house.ledger.accept(strange()).await.unwrap(), Accepted::Duplicate { .. }));
}

/// Lets everything through until it saw so many commits; the answer to the last one does not come any more.
async fn cutting_proxy(to: (String, u16), mut commits: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&to).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let mut answers = tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            });
            let mut asked = [0; 4096];
            while let Ok(length @ 1..) = from_client.read(&mut asked).await {
                let is_commit = asked[..length].windows(7).any(|window| window == b"COMMIT\0");
                commits = commits.saturating_sub(usize::from(is_commit));
                if is_commit && commits == 0 {
                    answers.abort();
                    let _ = (&mut answers).await;
                }
                to_server.write_all(&asked[..length]).await.unwrap();
                if is_commit && commits == 0 {
                    commits = usize::MAX;
                    // It reads until the server has nothing more to say, so that the commit was done.
                    break;
                }
            }
        }
    });
    port
}

/// The caller would ask again, be told that it is a repetition, and nobody would send it.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_to_be_done() {
    let ground = Ground::new().await;
    let options = options_of(&ground.place).clone();
    // Before come those that make the tables and that take a place.
    let port = cutting_proxy((options.get_host().to_owned(), options.get_port()), 3).await;
    let place = Place::Server(Box::new(options.host("127.0.0.1").port(port)), Some(node("een")));
    let ledger = open(&place).await;
    let (key, hold) = accepted(&ledger, message("a", vec![ready()])).await;
    assert!(ledger.holds(hold.unwrap()).await);
    ledger.delivered(key, receipt(), at(1)).await.unwrap();
    let mut beside = houses::beside(&ground.place).await;
    let messages = query("SELECT count(*) FROM message").fetch_one::<i64>(&mut beside).await;
    assert_eq!(messages.unwrap(), 1);
}
