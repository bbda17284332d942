//! A webhook that fails on command, also below HTTP, and keeps every attempt that reached it: what the gateway was
//! told about an attempt is not what the recipient knows of it.

use base64::Engine;
use ketenpoort::envelope::digest_label;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    #[default]
    Take,
    Status(u16),
    /// With how many seconds to stay away.
    Later(u16, u32),
    /// Hangs up without a word.
    Close,
    /// Takes it, and hangs up in the middle of saying so.
    Half,
    /// Says nothing.
    Hang,
    /// Takes it and says nothing.
    Lost,
    /// Takes it, and says so once it is told to.
    Late,
}

/// Every way of failing after which it is tried again, or that is none.
pub const MOODS: [Answer; 9] = [
    Answer::Status(401),
    Answer::Status(403),
    Answer::Status(500),
    Answer::Status(503),
    Answer::Later(429, 1),
    Answer::Close,
    Answer::Half,
    Answer::Hang,
    Answer::Lost,
];

impl Answer {
    /// Nothing of it is with the recipient, and it says so.
    pub fn is_refusal(self) -> bool {
        matches!(self, Answer::Status(400..=407 | 409..=499 | 501 | 503) | Answer::Later(..))
    }

    /// The recipient has it, whether or not the gateway gets to hear so.
    pub fn takes(self) -> bool {
        matches!(self, Answer::Take | Answer::Half | Answer::Lost | Answer::Late)
    }
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub path: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// The id of the message that it answers to.
    pub message: String,
    /// Of the data.
    pub digest: String,
    pub answer: Answer,
    pub at: Instant,
}

#[derive(Clone, Debug)]
pub struct Webhook(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    state: Mutex<State>,
    count: watch::Sender<usize>,
    /// What is late may be said now.
    let_go: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    attempts: Vec<Attempt>,
    plans: HashMap<String, Plan>,
}

/// The answers to come, and what is answered after those.
#[derive(Debug, Default)]
struct Plan {
    first: VecDeque<Answer>,
    then: Answer,
    moods: Option<fastrand::Rng>,
}

impl Plan {
    fn next(&mut self) -> Answer {
        if let Some(answer) = self.first.pop_front() {
            return answer;
        }
        match self.moods.as_mut().map(|rng| rng.usize(..MOODS.len() * 5)) {
            Some(mood) => MOODS.get(mood).copied().unwrap_or(self.then),
            None => self.then,
        }
    }
}

impl Webhook {
    pub async fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let webhook = Webhook(Arc::new(Inner {
            address,
            state: Mutex::default(),
            count: watch::Sender::new(0),
            let_go: watch::Sender::new(false),
        }));
        let own = webhook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(stream));
            }
        });
        webhook
    }

    /// Another name of 127.0.0.1, as a world puts its own recipient at that one.
    pub fn base(&self) -> String {
        format!("http://127.1:{}", self.0.address.port())
    }

    /// First these answers, then this one for good.
    pub fn plan(&self, path: &str, first: &[Answer], then: Answer) {
        let plan = Plan { first: first.iter().copied().collect(), then, moods: None };
        self.state().plans.insert(path.to_owned(), plan);
    }

    /// Fails one time in five, in every way there is.
    pub fn moody(&self, path: &str, rng: fastrand::Rng) {
        let plan = Plan { moods: Some(rng), ..Plan::default() };
        self.state().plans.insert(path.to_owned(), plan);
    }

    pub fn let_go(&self, go: bool) {
        self.0.let_go.send_replace(go);
    }

    /// In the order in which they came in.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.state().attempts.clone()
    }

    pub fn attempts_of(&self, path: &str) -> Vec<Attempt> {
        self.attempts().into_iter().filter(|attempt| attempt.path == path).collect()
    }

    pub async fn until(&self, enough: impl Fn(&[Attempt]) -> bool) {
        let mut count = self.0.count.subscribe();
        while !enough(&self.state().attempts) {
            count.changed().await.unwrap();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some((path, headers, body)) = request(&mut stream).await? {
            let answer = self.note(path, &headers, body);
            if answer == Answer::Late {
                let _ = self.0.let_go.subscribe().wait_for(|go| *go).await;
            }
            let text = match answer {
                Answer::Take | Answer::Late => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                Answer::Status(status) => format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"),
                Answer::Later(status, seconds) => {
                    format!("HTTP/1.1 {status} Later\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n")
                }
                Answer::Half => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"taken\":".to_owned(),
                Answer::Close => return Ok(()),
                // Until the other side hangs up.
                Answer::Hang | Answer::Lost => return stream.read_to_end(&mut Vec::new()).await.map(drop),
            };
            stream.write_all(text.as_bytes()).await?;
            if answer == Answer::Half {
                return Ok(());
            }
        }
        Ok(())
    }

    fn note(&self, path: String, headers: &BTreeMap<String, String>, body: Vec<u8>) -> Answer {
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let structured = header("content-type").starts_with("application/cloudevents+json");
        let (message, data) = if structured { structured_parts(&body) } else { (header("ce-correlationid"), body) };
        let mut state = self.state();
        let answer = state.plans.entry(path.clone()).or_default().next();
        let key = header("idempotency-key");
        let (digest, at) = (digest_label(&data), Instant::now());
        state.attempts.push(Attempt { path, key, message, digest, answer, at });
        self.0.count.send_replace(state.attempts.len());
        answer
    }
}

/// Message and data, byte for byte.
fn structured_parts(body: &[u8]) -> (String, Vec<u8>) {
    let event: HashMap<String, Box<RawValue>> = serde_json::from_slice(body).unwrap();
    let text = |name: &str| event.get(name).map(|value| serde_json::from_str::<String>(value.get()).unwrap());
    let data = match (event.get("data"), text("data_base64")) {
        (Some(data), _) => data.get().as_bytes().to_vec(),
        (None, base64) => base64::engine::general_purpose::STANDARD.decode(base64.unwrap_or_default()).unwrap(),
    };
    (text("correlationid").unwrap_or_default(), data)
}

type Request = (String, BTreeMap<String, String>, Vec<u8>);

/// The next request on a connection; none once the other side is done with it.
async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((path, headers, body)))
}
