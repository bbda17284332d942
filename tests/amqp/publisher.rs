use crate::vhost::{GATEWAY, Node, Vhost, broker_at, soon};
use futures_util::future::join_all;
use ketenpoort::broker;
use ketenpoort::delivery::Failure;
use ketenpoort::delivery::amqp::{Options, Publication, Publisher};
use ketenpoort::personal::Personal;
use lapin::options::BasicGetOptions;
use lapin::types::ShortString;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::Duration;

const QUEUE: &str = "ketenpoort.out.dji";

fn start(broker: broker::Options, channels: usize, confirm_timeout: Duration) -> Publisher {
    Publisher::start(Options { broker, channels: NonZeroUsize::new(channels).unwrap(), confirm_timeout })
}

fn publisher(vhost: &Vhost, channels: usize) -> Publisher {
    start(vhost.broker(), channels, Duration::from_secs(20))
}

fn to(queue: &str, message_id: String, body: Vec<u8>) -> Publication {
    Publication {
        to: queue.to_owned(),
        body: Personal::new(body),
        content_type: "application/json".to_owned(),
        attributes: vec![("id", message_id.clone()), ("type", "nl.ketenpoort.x.v1".to_owned())],
        message_id,
        traceparent: None,
    }
}

async fn connected(publisher: &Publisher) {
    soon(publisher.connected().wait_for(|connected| *connected)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_in_the_queue_when_it_is_confirmed() {
    let vhost = Vhost::new("confirmed");
    let publisher = publisher(&vhost, 1);
    // More than one frame, and none at all.
    for body in [vec![b'x'; 300_000], Vec::new()] {
        assert_eq!(publisher.publish(to(QUEUE, "4d1c".to_owned(), body.clone())).await, Ok(()));
        let channel = vhost.connect(GATEWAY).await.create_channel().await.unwrap();
        let got = channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
        assert_eq!(got.data, body);
        assert_eq!(got.properties.message_id().as_ref().map(ShortString::as_str), Some("4d1c"));
        assert_eq!(*got.properties.delivery_mode(), Some(2));
        assert!(got.properties.headers().as_ref().unwrap().contains_key("cloudEvents_id"));
    }
    publisher.close().await;
    assert_eq!(publisher.publish(to(QUEUE, "late".to_owned(), Vec::new())).await, Err(Failure::Disconnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_fails_its_own_message_among_many() {
    let vhost = Vhost::new("returned");
    let publisher = publisher(&vhost, 3);
    let mut routable = 0;
    // Few, many and only unroutable ones, spread differently each time.
    for (round, unroutable_each) in [7, 13, 100, 2, 3, 1].into_iter().enumerate() {
        let publish = |n: usize| {
            let there = n % unroutable_each != unroutable_each / 2;
            let queue = if there { QUEUE } else { "ketenpoort.out.nobody" };
            let sent = publisher.publish(to(queue, format!("{round}-{n}"), vec![b'x'; n]));
            async move { (there, sent.await) }
        };
        for (there, sent) in join_all((0..500).map(publish)).await {
            assert_eq!(sent, if there { Ok(()) } else { Err(Failure::Unroutable) });
            routable += u32::from(there);
        }
    }
    assert_eq!(vhost.waiting(QUEUE).await, routable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_the_broker_closes_is_replaced() {
    let vhost = Vhost::new("closes");
    let publisher = publisher(&vhost, 1);
    connected(&publisher).await;
    let permit = |write| vhost.node.ctl(&["set_permissions", "-p", &vhost.name, GATEWAY, ".*", write, ".*"]);
    permit("^$");
    let refused = (0..10).map(|n| publisher.publish(to(QUEUE, n.to_string(), Vec::new())));
    assert_eq!(soon(join_all(refused)).await, vec![Err(Failure::Unconfirmed); 10]);
    permit(".*");
    assert_eq!(publisher.publish(to(QUEUE, "10".to_owned(), Vec::new())).await, Ok(()));
    assert_eq!(vhost.waiting(QUEUE).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_nobody_waits_long() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let publisher = start(broker_at([format!("amqp://{nobody}")]), 1, Duration::from_secs(20));
    let asked = std::time::Instant::now();
    assert_eq!(publisher.publish(to(QUEUE, "1".to_owned(), Vec::new())).await, Err(Failure::Disconnected));
    assert!(asked.elapsed() < Duration::from_secs(5));
    soon(publisher.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_come_and_go_and_nothing_is_lost() {
    let vhost = Vhost::new("come-and-go");
    let publisher = publisher(&vhost, 2);
    connected(&publisher).await;
    let senders = (0..20).map(|sender| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            let mut failed = 0;
            for n in 0..100 {
                let publication = to(QUEUE, format!("{sender}-{n}"), vec![b'x'; 100]);
                while let Err(failure) = publisher.publish(publication.clone()).await {
                    assert_eq!(failure, Failure::Disconnected);
                    failed += 1;
                }
            }
            failed
        })
    });
    let senders: Vec<_> = senders.collect();
    for _ in 0..3 {
        vhost.close_connections();
        connected(&publisher).await;
    }
    let failed: u32 = join_all(senders).await.into_iter().map(Result::unwrap).sum();
    let channel = vhost.connect(GATEWAY).await.create_channel().await.unwrap();
    let mut arrived = HashSet::new();
    while let Some(got) = channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
        arrived.insert(got.properties.message_id().clone().unwrap().to_string());
    }
    assert_eq!(arrived.len(), 2000, "{failed} attempts failed");
}

/// An alarm is about the whole broker, so this has one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_in_alarm_confirms_nothing_until_it_is_over() {
    let node = Node::start(Some(5693));
    let vhost = Vhost::on(node.clone(), "alarm");
    let publisher = start(vhost.broker(), 2, Duration::from_secs(2));
    assert_eq!(publisher.publish(to(QUEUE, "before".to_owned(), Vec::new())).await, Ok(()));
    node.ctl(&["set_vm_memory_high_watermark", "0.0001"]);
    // It blocks whoever publishes from then on, and that may take a few messages to work. In the end there are more
    // of them than fit on their way.
    let blocked = async || {
        let all = (0..300).map(|n| publisher.publish(to(QUEUE, n.to_string(), Vec::new())));
        join_all(all).await.iter().all(|sent| *sent == Err(Failure::Unconfirmed))
    };
    soon(async { while !blocked().await {} }).await;
    assert!(blocked().await);
    node.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    soon(async { while publisher.publish(to(QUEUE, "after".to_owned(), Vec::new())).await.is_err() {} }).await;
    let channels = node.ctl(&["list_channels", "vhost", "name"]);
    assert_eq!(channels.lines().filter(|line| line.starts_with(&vhost.name)).count(), 2, "{channels}");
    drop(vhost);
    node.stop();
}
