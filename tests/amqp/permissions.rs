//! What a partner's broker user may do, and what not, with the permissions of the exported definitions.

use crate::vhost::{AMSTERDAM, DJI, GATEWAY, Vhost, publish, send};
use ketenpoort::topology;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind};

const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;

fn refusal<T: std::fmt::Debug>(answer: lapin::Result<T>) -> u16 {
    match answer.expect_err("the broker refuses").kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_id(),
        other => panic!("{other:?}"),
    }
}

async fn channel(connection: &Connection) -> Channel {
    connection.create_channel().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_sends_as_itself_to_its_own_exchange() {
    let vhost = Vhost::new("sends");
    let dji = vhost.connect(DJI).await;
    send(&dji, "dji", b"ours").await;
    assert_eq!(vhost.waiting("ketenpoort.in.dji").await, 1);

    let as_other = BasicProperties::default().with_user_id(AMSTERDAM.into());
    assert_eq!(refusal(publish(&dji, "ketenpoort.in.dji", "", as_other, b"").await), PRECONDITION_FAILED);
    let own = || BasicProperties::default().with_user_id(DJI.into());
    assert_eq!(refusal(publish(&dji, "ketenpoort.in.gemeente.0363", "", own(), b"").await), ACCESS_REFUSED);
    // With the default exchange, every queue would be in reach.
    for queue in ["ketenpoort.in.dji", "ketenpoort.in.gemeente.0363", "ketenpoort.out.gemeente.0363"] {
        assert_eq!(refusal(publish(&dji, "", queue, own(), b"").await), ACCESS_REFUSED, "{queue}");
    }
    assert_eq!(vhost.waiting("ketenpoort.in.dji").await, 1);
    assert_eq!(vhost.waiting("ketenpoort.in.gemeente.0363").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_reads_what_is_meant_for_it() {
    let vhost = Vhost::new("reads");
    let gateway = vhost.connect(GATEWAY).await;
    let dji = vhost.connect(DJI).await;
    for queue in ["ketenpoort.out.dji", "ketenpoort.receipts.dji"] {
        let sent = publish(&gateway, "", queue, BasicProperties::default(), b"for you").await;
        assert_eq!(sent, Ok(Confirmation::Ack(None)));
        let got = channel(&dji).await.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap();
        assert_eq!(got.expect("it was sent").data, b"for you");
    }
    let others = ["in.dji", "in.gemeente.0363", "out.gemeente.0363", "receipts.gemeente.0363"];
    for queue in others.map(|queue| format!("ketenpoort.{queue}")) {
        let got = channel(&dji).await.basic_get(queue.as_str().into(), BasicGetOptions::default()).await;
        assert_eq!(refusal(got), ACCESS_REFUSED, "{queue}");
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumed = channel(&dji).await.basic_consume(queue.as_str().into(), "".into(), options, none).await;
        assert_eq!(refusal(consumed), ACCESS_REFUSED, "{queue}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_changes_nothing() {
    let vhost = Vhost::new("changes");
    let dji = vhost.connect(DJI).await;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    for queue in ["ketenpoort.in.dji", "ketenpoort.out.dji", "ketenpoort.new", "another"] {
        let declared = channel(&dji).await.queue_declare(queue.into(), options, FieldTable::default()).await;
        assert_eq!(refusal(declared), ACCESS_REFUSED, "{queue}");
    }
    // Neither may it send others' messages on to itself, nor its own to others.
    for (queue, exchange) in [
        ("ketenpoort.out.dji", "ketenpoort.in.gemeente.0363"),
        ("ketenpoort.out.gemeente.0363", "ketenpoort.in.dji"),
        ("ketenpoort.out.dji", "ketenpoort.in.dji"),
    ] {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel(&dji).await.queue_bind(queue.into(), exchange.into(), "".into(), options, none).await;
        assert_eq!(refusal(bound), ACCESS_REFUSED, "{queue} to {exchange}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_what_the_gateway_declares() {
    let vhost = Vhost::new("declares");
    let gateway = vhost.connect(GATEWAY).await;
    assert_eq!(topology::declare(&gateway, &vhost.directory).await.unwrap(), topology::Declared::default());
    let nobody = vhost.connect(DJI).await;
    let refused = topology::Declared { refused: true, different: Vec::new() };
    assert_eq!(topology::declare(&nobody, &vhost.directory).await.unwrap(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_there_otherwise_is_told_and_the_rest_declared() {
    let vhost = Vhost::new("otherwise");
    let gateway = vhost.connect(GATEWAY).await;
    let admin = channel(&gateway).await;
    for queue in ["ketenpoort.in.dji", "ketenpoort.receipts.dji"] {
        admin.queue_delete(queue.into(), lapin::options::QueueDeleteOptions::default()).await.unwrap();
    }
    let classic = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    admin.queue_declare("ketenpoort.in.dji".into(), classic, FieldTable::default()).await.unwrap();
    let declared = topology::declare(&gateway, &vhost.directory).await.unwrap();
    assert_eq!(declared, topology::Declared { refused: false, different: vec!["ketenpoort.in.dji".to_owned()] });
    assert_eq!(vhost.waiting("ketenpoort.receipts.dji").await, 0);
}
