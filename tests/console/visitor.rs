//! Somebody with a browser that does only what it is told.

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use std::collections::BTreeMap;

pub struct Visitor {
    pub url: String,
    pub client: reqwest::Client,
    pub cookies: BTreeMap<String, String>,
    /// Of a form.
    pub origin: Option<String>,
    pub csrf: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Visitor {
    pub fn new(url: &str) -> Visitor {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (cookies, origin) = (BTreeMap::new(), Some(url.to_owned()));
        Visitor { url: url.to_owned(), client, cookies, origin, csrf: String::new() }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let answer = self.sent(self.client.get(self.address(path))).await;
        if let Some(rest) = answer.body.split("name=\"csrf\" value=\"").nth(1) {
            rest.split('"').next().unwrap().clone_into(&mut self.csrf);
        }
        answer
    }

    /// With the token that stood on the last page.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &self.csrf).extend_pairs(fields);
        let body = form.finish();
        let mut request = self.client.post(self.address(path)).body(body);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(origin) = &self.origin {
            request = request.header("origin", origin);
        }
        self.sent(request).await
    }

    pub async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        self.get("/console/aanmelden").await;
        let answer = self.post("/console/aanmelden", &[("naam", name), ("wachtwoord", password)]).await;
        if answer.status == 303 {
            let home = self.get("/console").await;
            let first = home.header("location").to_owned();
            self.get(&first).await;
        }
        answer
    }

    fn address(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) }
    }

    async fn sent(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }
}
