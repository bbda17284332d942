use crate::directory::{Directory, Party};
use serde_json::json;
pub fn definitions(
    d: &Directory,
    v: &str,
    g: &str,
    p: &std::collections::BTreeMap<String, String>,
) -> serde_json::Value {
    let users: Vec<_> = p.iter().map(|(u, w)| json!({"name": u, "password": w, "tags": ""})).collect();
    let perms: Vec<_> = p.keys().map(|u| json!({"user": u, "vhost": v, "configure": if u == g { "" } else { "^$" }, "write": ".*", "read": ".*"})).collect();
    let queues: Vec<_> = d.queues().iter().map(|q| json!({"name": q, "vhost": v, "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "quorum"}})).collect();
    let ex: Vec<_> = d.parties().filter(|p| !p.users.is_empty()).map(|p| json!({"name": exchange(p), "vhost": v, "type": "fanout", "durable": true, "auto_delete": false, "internal": false, "arguments": {}})).collect();
    let b: Vec<_> = d.parties().filter(|p| !p.users.is_empty()).map(|p| json!({"source": exchange(p), "vhost": v, "destination": p.inbound, "destination_type": "queue", "routing_key": "", "arguments": {}})).collect();
    json!({"vhosts": [{"name": v}], "users": users, "permissions": perms, "queues": queues, "exchanges": ex, "bindings": b})
}
pub fn exchange(p: &Party) -> String {
    p.id.to_string()
}
