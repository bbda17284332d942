//! Tokens of those who may ask more than anybody. A token itself is not kept, and how it was wrong is not told.

use super::problem;
use crate::config::Secret;
use aws_lc_rs::{constant_time, digest};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(super) struct Bearer(digest::Digest);

impl Bearer {
    pub fn new(token: &Secret) -> Bearer {
        Bearer(hashed(token.reveal()))
    }

    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = said.and_then(|said| said.split_once(' ')) else { return false };
        let is_same = constant_time::verify_slices_are_equal(hashed(token.trim()).as_ref(), self.0.as_ref()).is_ok();
        is_same && scheme.eq_ignore_ascii_case("bearer")
    }
}

/// Digests have one length, so that nothing is told about that of the token either.
fn hashed(token: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, token.as_bytes())
}

pub(super) fn refusal() -> Response {
    let refused = problem(StatusCode::UNAUTHORIZED, "who asks this comes with the token for it");
    ([(header::WWW_AUTHENTICATE, "Bearer"), (header::CONNECTION, "close")], refused).into_response()
}
