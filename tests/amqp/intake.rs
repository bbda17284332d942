use crate::vhost::{AMSTERDAM, DJI, GATEWAY, Vhost, broker_at, publish, send, soon};
use ketenpoort::envelope::Oversize;
use ketenpoort::intake::{Inbound, Intake, Options, Room};
use ketenpoort::{broker, topology};
use lapin::options::QueueDeleteOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const MAX_BODY: usize = 1024;

fn start(vhost: &Vhost, broker: broker::Options, prefetch: u16) -> (Intake, mpsc::Receiver<Inbound>) {
    start_with(vhost, options(broker, prefetch))
}

fn options(broker: broker::Options, prefetch: u16) -> Options {
    Options {
        broker,
        prefetch: NonZeroU16::new(prefetch).unwrap(),
        max_body: MAX_BODY,
        rate: None,
        room: Room::of(1 << 20),
    }
}

fn start_with(vhost: &Vhost, options: Options) -> (Intake, mpsc::Receiver<Inbound>) {
    let (sender, inbound) = mpsc::channel(1);
    (Intake::start(options, vhost.directory.clone(), &sender), inbound)
}

async fn consuming(intake: &Intake, consumers: usize) {
    soon(intake.progress().wait_for(|progress| progress.consumers == consumers)).await.unwrap();
}

async fn next(inbound: &mut mpsc::Receiver<Inbound>) -> Inbound {
    soon(inbound.recv()).await.expect("intake goes on")
}

fn body(inbound: &Inbound) -> &str {
    std::str::from_utf8(inbound.raw.body.reveal_personal_data()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_in_as_it_was_sent() {
    let vhost = Vhost::new("as-sent");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 10);
    consuming(&intake, 2).await;
    let amsterdam = vhost.connect(AMSTERDAM).await;
    let mut headers = FieldTable::default();
    headers.insert("cloudEvents_type".into(), AMQPValue::LongString("nl.ketenpoort.vraag.v1".into()));
    headers.insert("cloudEvents_sequence".into(), AMQPValue::LongLongInt(7));
    headers.insert("traceparent".into(), AMQPValue::LongString("00-0af7-b7ad-01".into()));
    let properties = BasicProperties::default()
        .with_user_id(AMSTERDAM.into())
        .with_content_type("application/json".into())
        .with_headers(headers);
    let sent = publish(&amsterdam, "ketenpoort.in.gemeente.0363", "", properties, b"{}").await;
    assert_eq!(sent, Ok(Confirmation::Ack(None)));

    let got = next(&mut inbound).await;
    assert_eq!(got.queue, "ketenpoort.in.gemeente.0363");
    assert_eq!(body(&got), "{}");
    assert_eq!(got.raw.user_id.as_deref(), Some(AMSTERDAM), "the broker proved the user");
    assert_eq!(got.raw.queue_of.as_ref().unwrap().as_str(), "gemeente:0363");
    assert_eq!(got.raw.content_type.as_deref(), Some("application/json"));
    let headers =
        ["cloudEvents_type", "cloudEvents_sequence", "traceparent"].map(|name| got.raw.headers[name].as_str());
    assert_eq!(headers, ["nl.ketenpoort.vraag.v1", "7", "00-0af7-b7ad-01"]);
    got.acker.ack().await;

    let too_much = [b'x'; MAX_BODY + 1];
    send(&amsterdam, "gemeente.0363", &too_much).await;
    let got = next(&mut inbound).await;
    assert_eq!((got.raw.oversize, body(&got)), (Some(Oversize::of(&too_much)), ""));
    got.acker.ack().await;
    intake.close().await;
    assert_eq!(vhost.waiting("ketenpoort.in.gemeente.0363").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_comes_again_however_often() {
    let vhost = Vhost::new("released");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 1);
    send(&vhost.connect(DJI).await, "dji", b"again").await;
    // RabbitMQ 4 drops a message after 20 times, unless the queue says otherwise.
    for _ in 0..25 {
        let got = next(&mut inbound).await;
        assert_eq!(body(&got), "again");
        got.acker.release().await;
    }
    next(&mut inbound).await.acker.ack().await;
    intake.close().await;
    assert_eq!(vhost.waiting("ketenpoort.in.dji").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_consumed_once_it_is_back() {
    let vhost = Vhost::new("deleted");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 10);
    consuming(&intake, 2).await;
    let gateway = vhost.connect(GATEWAY).await;
    let channel = gateway.create_channel().await.unwrap();
    channel.queue_delete("ketenpoort.in.dji".into(), QueueDeleteOptions::default()).await.unwrap();
    consuming(&intake, 1).await;
    send(&vhost.connect(AMSTERDAM).await, "gemeente.0363", b"others go on").await;
    let got = next(&mut inbound).await;
    assert_eq!(body(&got), "others go on");
    got.acker.ack().await;

    assert_eq!(topology::declare(&gateway, &vhost.directory).await.unwrap(), topology::Declared::default());
    consuming(&intake, 2).await;
    send(&vhost.connect(DJI).await, "dji", b"here again").await;
    assert_eq!(body(&next(&mut inbound).await), "here again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_replaced_with_the_same_prefetch() {
    let vhost = Vhost::new("lost");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 3);
    consuming(&intake, 2).await;
    let dji = vhost.connect(DJI).await;
    for n in 0..10_u8 {
        send(&dji, "dji", &[b'0' + n]).await;
    }
    let mut held = Vec::new();
    for n in ["0", "1", "2"] {
        held.push(next(&mut inbound).await);
        assert_eq!(body(held.last().unwrap()), n);
    }
    vhost.close_connections();
    // Not acknowledged, so they come again; the old ones mean nothing to the broker any more.
    let mut again = Vec::new();
    for n in ["0", "1", "2"] {
        again.push(next(&mut inbound).await);
        assert_eq!(body(again.last().unwrap()), n);
    }
    for old in held {
        old.acker.ack().await;
    }
    let consumers =
        vhost.node.ctl(&["list_consumers", "-p", &vhost.name, "queue_name", "ack_required", "prefetch_count"]);
    let of_dji: Vec<&str> = consumers.lines().filter(|line| line.starts_with("ketenpoort.in.dji")).collect();
    assert_eq!(of_dji, ["ketenpoort.in.dji\ttrue\t3"]);
    for new in again {
        new.acker.ack().await;
    }
    assert_eq!(body(&next(&mut inbound).await), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_partner_leaves_room_for_the_others() {
    let vhost = Vhost::new("flood");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 3);
    consuming(&intake, 2).await;
    let (dji, amsterdam) = (vhost.connect(DJI).await, vhost.connect(AMSTERDAM).await);
    for _ in 0..10 {
        send(&dji, "dji", b"again").await;
    }
    send(&amsterdam, "gemeente.0363", b"once").await;
    // Nothing of the flood is ever done with: no more than its part comes in, and the other's message does.
    let mut came = Vec::new();
    while came.len() < 4 {
        came.push(next(&mut inbound).await);
    }
    assert_eq!(came.iter().filter(|one| body(one) == "once").count(), 1);
    intake.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_takes_no_more_room_than_there_is_and_nobody_is_left_out() {
    const SIZE: usize = 64 * 1024;
    let vhost = Vhost::new("room");
    let room = Room::of(4 * SIZE);
    let (sender, mut inbound) = mpsc::channel(100);
    let options = Options { room: room.clone(), max_body: SIZE, ..options(vhost.broker(), 100) };
    let intake = Intake::start(options, vhost.directory.clone(), &sender);
    consuming(&intake, 2).await;
    let (dji, amsterdam) = (vhost.connect(DJI).await, vhost.connect(AMSTERDAM).await);
    for _ in 0..10 {
        send(&dji, "dji", &[b'x'; SIZE]).await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut inbound).await);
    }
    assert_eq!(room.taken(), 4 * SIZE);
    send(&amsterdam, "gemeente.0363", b"once").await;
    // There is a place, and no room. Once there is, whoever waited longest has it.
    assert!(inbound.try_recv().is_err());
    let mut came = Vec::new();
    while came.last().is_none_or(|one: &Inbound| body(one) != "once") {
        held.remove(0).acker.ack().await;
        let one = next(&mut inbound).await;
        assert!(room.taken() <= 4 * SIZE);
        came.push(one);
    }
    assert!(came.len() <= 3, "{}", came.len());
    intake.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_large_messages_fewer_come_ahead() {
    const SIZE: usize = 1 << 20;
    let vhost = Vhost::new("ahead");
    topology::declare(&vhost.connect(GATEWAY).await, &vhost.directory).await.unwrap();
    let dji = vhost.connect(DJI).await;
    send(&dji, "dji", &vec![b'x'; SIZE]).await;
    let room = Room::of(100 * SIZE);
    let (intake, mut inbound) = start_with(&vhost, Options { room, max_body: SIZE, ..options(vhost.broker(), 512) });
    next(&mut inbound).await.acker.ack().await;
    let prefetch = async || {
        let said = vhost.node.ctl(&["list_consumers", "-p", &vhost.name, "queue_name", "prefetch_count"]);
        let of_dji = said.lines().find_map(|line| line.strip_prefix("ketenpoort.in.dji\t")).map(str::to_owned);
        tokio::task::yield_now().await;
        of_dji
    };
    soon(async { while prefetch().await.as_deref() != Some("4") {} }).await;
    intake.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_is_too_fast_is_taken_from_at_its_rate() {
    let vhost = Vhost::new("rate");
    topology::declare(&vhost.connect(GATEWAY).await, &vhost.directory).await.unwrap();
    let dji = vhost.connect(DJI).await;
    for _ in 0..6 {
        send(&dji, "dji", b"again").await;
    }
    let started = Instant::now();
    let rate = NonZeroU32::new(4);
    let (intake, mut inbound) = start_with(&vhost, Options { rate, ..options(vhost.broker(), 10) });
    for _ in 0..6 {
        next(&mut inbound).await.acker.ack().await;
    }
    assert!(started.elapsed() >= Duration::from_millis(500), "4 at once, and then one each quarter of a second");
    intake.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_takes_two_steps() {
    let vhost = Vhost::new("stopping");
    let dji = vhost.connect(DJI).await;
    for n in 0..10_u8 {
        send(&dji, "dji", &[b'0' + n]).await;
    }
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 10);
    let first = next(&mut inbound).await;
    soon(intake.cancel()).await;
    assert_eq!(intake.progress().borrow().connections, 1);
    let mut handed_out = vec![first];
    while let Some(one) = soon(inbound.recv()).await {
        handed_out.push(one);
    }
    let taken = u32::try_from(handed_out.len()).unwrap();
    assert!(taken < 10, "most still were with intake");
    assert_eq!(vhost.waiting("ketenpoort.in.dji").await, 10 - taken, "and went back at once");
    for one in handed_out {
        one.acker.ack().await;
    }
    soon(intake.close()).await;
    assert_eq!(vhost.waiting("ketenpoort.in.dji").await, 10 - taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_may_not_read_leaves_the_rest_alone() {
    let vhost = Vhost::new("refused");
    let permit = |configure: &str, read: &str| {
        vhost.node.ctl(&["set_permissions", "-p", &vhost.name, GATEWAY, configure, ".*", read]);
    };
    permit("^$", r"^ketenpoort\.in\.dji$");
    let (intake, mut inbound) = start(&vhost, vhost.broker(), 10);
    consuming(&intake, 1).await;
    send(&vhost.connect(DJI).await, "dji", b"as usual").await;
    let got = next(&mut inbound).await;
    assert_eq!(body(&got), "as usual");
    got.acker.ack().await;
    permit(".*", ".*");
    consuming(&intake, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_waited_for_and_another_taken() {
    let vhost = Vhost::new("away");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("amqp://{nobody}");
    let (alone, _inbound) = start(&vhost, broker_at([away.clone()]), 10);
    let (intake, _inbound) = start(&vhost, broker_at([away, vhost.url(GATEWAY)]), 10);
    consuming(&intake, 2).await;
    assert_eq!(alone.progress().borrow().connections, 0);
    soon(alone.cancel()).await;
    soon(alone.close()).await;
}
