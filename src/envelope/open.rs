//! Opening the envelope: CloudEvents in structured or binary mode, from a sender that the broker proved.

use super::{Attributes, Envelope, RawMessage, Rejection};
use crate::code::Code;
use crate::directory::{Directory, Party};
use crate::jose::{self, detached};
use crate::outcome::Problem;
use crate::party::Oin;
use crate::personal::Personal;
use crate::receipt::Signature;
use crate::validation::{formats, json, schema};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

const STRUCTURED: &str = "application/cloudevents";
const PREFIXES: [&str; 3] = ["cloudEvents_", "cloudEvents:", "ce-"];

/// How large a message may be. Only a list may be larger than others.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<F> {
    pub message: usize,
    pub list: usize,
    pub is_list: F,
}

/// Reads and proves; on failure the rejection says as much about the message as could be known.
pub fn open(
    raw: &RawMessage,
    directory: &Directory,
    sizes: Sizes<impl Fn(&str) -> bool>,
    now: Timestamp,
) -> Result<Envelope, Box<Rejection>> {
    let body = raw.body.reveal_personal_data();
    let mut rejection = Rejection::of(raw);
    let user = raw.user_id.as_deref().and_then(|user| directory.by_user(user));
    let owner = raw.queue_of.as_ref().and_then(|id| directory.by_id(id));
    // A receipt of refusal goes to the proven user, or else to the owner of the queue: only he may write to it.
    rejection.sender = user.or(owner).map(|party| party.id.clone());

    let content_type = raw.content_type.as_deref().unwrap_or_default();
    let is_structured = content_type.trim_start().to_ascii_lowercase().starts_with(STRUCTURED);
    let size = raw.oversize.map_or(body.len() as u64, |oversize| oversize.size);
    if let Some(most) = sizes.exceeded(raw, size, is_structured) {
        // In binary mode it has a name outside its body.
        if let (false, Ok((context, _))) = (is_structured, binary(raw)) {
            rejection.know(&context, rejection.identity.digest);
        }
        let hint = format!("{size} bytes; at most {most} are accepted");
        return Err(rejection.because(Problem::new(Code::TooLarge, "body", hint)));
    }
    if raw.content_encoding.as_deref().is_some_and(|e| !e.is_empty() && !e.eq_ignore_ascii_case("utf-8")) {
        return Err(rejection.because(Problem::new(
            Code::WrongEncoding,
            "content-encoding",
            Code::WrongEncoding.hint(),
        )));
    }
    let (mut context, data) = match if is_structured { structured(body) } else { binary(raw) } {
        Ok(read) => read,
        Err(problem) => return Err(rejection.because(problem)),
    };
    for name in ["traceparent", "tracestate"] {
        if let (false, Some(value)) = (context.contains_key(name), raw.headers.get(name)) {
            context.insert(name.to_owned(), value.clone());
        }
    }
    rejection.know(&context, super::digest(&data));
    if let Some(list) = &raw.part_of {
        // What the sender knows is the list.
        rejection.identity.message.digest.clone_from(list);
    }
    // It is no attribute that says anything about the message, and nothing else reads it.
    let signature = context.remove(jose::SIGNATURE);
    let mut problems = attribute_problems(&context);
    let sender = match (user, owner) {
        (Some(user), owner) if owner.is_none_or(|owner| owner.id == user.id) => Some(user),
        (Some(_), _) => {
            let hint = "this queue belongs to another party";
            problems.push(Problem::new(Code::SenderMismatch, "user-id", hint));
            None
        }
        (None, _) => {
            problems.push(Problem::new(Code::UnknownSender, "user-id", Code::UnknownSender.hint()));
            None
        }
    };
    let is_new = !raw.admitted && raw.part_of.is_none();
    let signed = match sender.filter(|_| is_new) {
        Some(sender) => signed(sender, signature.as_deref(), &data, &context, now),
        None => Ok(None),
    };
    let claimed = context.get("source").map(|source| Oin::of_source(source));
    match (sender, claimed) {
        (Some(sender), Some(oin)) if oin.as_ref() == Some(&sender.oin) => match signed {
            Ok(signature) => {
                rejection.identity.message.signature = signature.map(Arc::new);
                rejection.name_as(&context);
            }
            Err(wrong) => {
                context.extend(signature.map(|signature| (jose::SIGNATURE.to_owned(), signature)));
                rejection.name_unsigned(&context);
                problems.extend(wrong);
            }
        },
        (Some(_), Some(_)) => {
            problems.push(Problem::new(Code::SenderMismatch, "source", Code::SenderMismatch.hint()));
        }
        _ => {}
    }
    let (true, Some(sender)) = (problems.is_empty(), sender) else {
        return Err(rejection.because_all(problems));
    };
    Ok(Envelope {
        sender: Arc::clone(sender),
        identity: rejection.identity(),
        attributes: attributes(context),
        data: Personal::new(data),
        internal: raw.part_of.is_some(),
    })
}

/// Whose signature it is, where the directory has keys of the sender.
fn signed(
    sender: &Party,
    signature: Option<&str>,
    data: &[u8],
    context: &Context,
    now: Timestamp,
) -> Result<Option<Signature>, Vec<Problem>> {
    let Some(signs) = &sender.signs else { return Ok(None) };
    match signature {
        Some(jws) => detached::verify(jws, data, context, &signs.keys, now).map(Some),
        None if signs.required => {
            let code = Code::SignatureMissing;
            Err(vec![Problem::new(code, jose::SIGNATURE, code.hint())])
        }
        None => Ok(None),
    }
}

impl<F: Fn(&str) -> bool> Sizes<F> {
    /// The bound that a message breaks.
    fn exceeded(&self, raw: &RawMessage, size: u64, is_structured: bool) -> Option<usize> {
        let (message, list) = (self.message as u64, self.list as u64);
        if size <= message || size > list.max(message) {
            return (size > message).then_some(self.message);
        }
        // Only its name tells a list. What was too large to be carried at all is none, as lists are carried.
        let context = match is_structured {
            false => binary(raw).map(|(context, _)| context),
            true => structured(raw.body.reveal_personal_data()).map(|(context, _)| context),
        };
        let is_list = context.is_ok_and(|context| context.get("type").is_some_and(|kind| (self.is_list)(kind)));
        (!is_list || raw.oversize.is_some()).then_some(self.message)
    }
}

type Context = BTreeMap<String, String>;

fn structured(body: &[u8]) -> Result<(Context, Vec<u8>), Problem> {
    let fields = json::top_level(body)?;
    let mut context = Context::new();
    let mut data = None;
    for (name, value) in fields {
        match name.as_str() {
            "data" | "data_base64" if data.is_some() => {
                return Err(Problem::new(
                    Code::NotACloudEvent,
                    "data_base64",
                    "give `data` or `data_base64`, not both",
                ));
            }
            "data" => data = Some(value.get().as_bytes().to_vec()),
            "data_base64" => {
                let text: Option<String> = serde_json::from_str(value.get()).ok();
                let bytes =
                    text.and_then(|t| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, t).ok());
                let wrong = || Problem::new(Code::NotACloudEvent, "data_base64", "must be base64 text");
                data = Some(bytes.ok_or_else(wrong)?);
            }
            _ => {
                let text = match serde_json::from_str(value.get()) {
                    Ok(serde_json::Value::String(text)) => text,
                    Ok(serde_json::Value::Number(number)) => number.to_string(),
                    Ok(serde_json::Value::Bool(yes)) => yes.to_string(),
                    Ok(serde_json::Value::Null) => continue,
                    _ => {
                        let hint = "context attributes are text, numbers or booleans";
                        return Err(Problem::new(Code::NotACloudEvent, "attributes", hint));
                    }
                };
                context.insert(name, text);
            }
        }
    }
    let data = data.ok_or_else(|| Problem::new(Code::NotACloudEvent, "data", "the event has no data"))?;
    Ok((context, data))
}

fn binary(raw: &RawMessage) -> Result<(Context, Vec<u8>), Problem> {
    let mut context = Context::new();
    for (header, value) in &raw.headers {
        if let Some(name) = PREFIXES.iter().find_map(|prefix| header.strip_prefix(prefix)) {
            let known = context.insert(name.to_ascii_lowercase(), value.clone());
            if known.is_some_and(|known| known != *value) {
                return Err(Problem::new(Code::NotACloudEvent, "headers", "one attribute has two values"));
            }
        }
    }
    if context.is_empty() {
        let hint = Code::NotACloudEvent.hint();
        return Err(Problem::new(Code::NotACloudEvent, "headers", hint));
    }
    if let Some(content_type) = &raw.content_type {
        context.insert("datacontenttype".to_owned(), content_type.clone());
    }
    Ok((context, raw.body.reveal_personal_data().clone()))
}

fn attribute_problems(context: &Context) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut wrong = |place: &str, hint: &str| {
        problems.push(Problem::new(Code::MissingAttribute, place, hint));
    };
    for name in ["id", "source", "type"] {
        match context.get(name) {
            None => wrong(name, "is required"),
            Some(value) if value.is_empty() || value.len() > 255 => wrong(name, "1 to 255 characters"),
            Some(_) => {}
        }
    }
    if context.get("specversion").map(String::as_str) != Some("1.0") {
        wrong("specversion", "must be 1.0");
    }
    if context.get("time").is_some_and(|time| !formats::is_date_time(time)) {
        wrong("time", "must be an RFC 3339 date-time");
    }
    if context.get("sequence").is_some_and(|s| !s.parse::<i32>().is_ok_and(|n| n > 0)) {
        wrong("sequence", "a whole number from 1");
    }
    let well_named = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if context.keys().any(|name| !well_named(name)) {
        wrong("attributes", "names of attributes are lower-case letters and digits");
    }
    for (name, value) in context {
        let may_hold_digits = matches!(name.as_str(), "time" | "sequence" | "traceparent" | "tracestate");
        if !may_hold_digits && formats::holds_bsn(value) {
            let hint = Code::PersonalDataInAttribute.hint();
            problems.push(Problem::new(Code::PersonalDataInAttribute, schema::safe_name(name), hint));
        }
    }
    problems
}

fn attributes(mut context: Context) -> Attributes {
    let mut take = |name: &str| context.remove(name);
    Attributes {
        id: take("id").unwrap_or_default(),
        kind: take("type").unwrap_or_default(),
        sequence: take("sequence").and_then(|s| s.parse().ok()),
        data_content_type: take("datacontenttype"),
    }
}

#[cfg(test)]
mod tests;
