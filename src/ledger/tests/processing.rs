//! What the ledger says of messages to the log of processings.

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn keys(ledger: &Ledger, wanted: Wanted) -> Vec<String> {
    let found = ledger.processed(&wanted, 10).await.unwrap();
    found.iter().map(|message| message.sender.to_string()).collect()
}

#[tokio::test]
async fn a_message_is_found_by_everything_that_is_asked_and_by_all_of_it() {
    let house = House::new().await;
    let ledger = &house.ledger;
    // The sender tells the messages apart.
    let sent = |name: &str| NewMessage { sender: PartyId::new(name), ..message(name, vec![ready(), ready()]) };
    let trace = Some("00-00000000000000000000000000000001-b7ad6b7169203331-00".to_owned());
    accept(ledger, NewMessage { caller: Some([7; 8]), subject: person(Some(1), Some(2)), ..sent("bsn and skn") }).await;
    accept(ledger, NewMessage { subject: person(None, Some(2)), received_at: at(60), ..sent("skn") }).await;
    accept(ledger, NewMessage { traceparent: trace, kind: None, ..sent("other trace") }).await;
    accept(
        ledger,
        NewMessage { traceparent: None, kind: Some("nl.ketenpoort.other.v1".to_owned()), ..sent("no trace") },
    )
    .await;

    let wanted = Wanted::default;
    let table = [
        (wanted(), vec!["bsn and skn", "skn", "other trace", "no trace"]),
        (Wanted { trace_id: Some(TRACE.to_owned()), ..wanted() }, vec!["bsn and skn", "skn"]),
        (Wanted { trace_id: Some("f".repeat(32)), ..wanted() }, vec![]),
        (Wanted { kind: Some("nl.ketenpoort.other.v1".to_owned()), ..wanted() }, vec!["no trace"]),
        (Wanted { subject: person(Some(1), None), ..wanted() }, vec!["bsn and skn"]),
        (Wanted { subject: person(Some(2), Some(2)), ..wanted() }, vec!["bsn and skn", "skn"]),
        (Wanted { subject: person(Some(2), Some(2)), since: Some(at(1)), ..wanted() }, vec!["skn"]),
        (Wanted { trace_id: Some(TRACE.to_owned()), until: Some(at(59)), ..wanted() }, vec!["bsn and skn"]),
        (
            Wanted { subject: person(Some(2), Some(2)), kind: Some("nl.ketenpoort.other.v1".to_owned()), ..wanted() },
            vec![],
        ),
    ];
    for (wanted, expected) in table {
        assert_eq!(keys(ledger, wanted.clone()).await, expected, "{wanted:?}");
    }

    let page = ledger.processed(&wanted(), 2).await.unwrap();
    assert_eq!((page.len(), page[0].deliveries.len(), page[0].caller, page[1].caller), (2, 2, Some([7; 8]), None));
    assert_eq!(page[0].trace_id.as_deref(), Some(TRACE));
    let next = Wanted { after: page[1].key, ..wanted() };
    assert_eq!(keys(ledger, next).await, ["other trace", "no trace"]);
}
