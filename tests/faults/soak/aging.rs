//! Half a year later: what is past its term is forgotten, and the gateway is killed while it does so. What is kept
//! stays as it was.

use super::Soak;
use crate::scene::until;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

pub const KILLS: usize = 3;
const HALF_A_YEAR: i64 = 220 * 24 * 3600;
/// Receipts that are asked for again.
const SAMPLE: usize = 50;

impl Soak {
    /// How many messages were forgotten.
    pub(super) async fn age(&mut self) -> usize {
        self.scene.world.stop_gateway().await.unwrap();
        self.clock.jump(HALF_A_YEAR);
        let mut ledger = self.ledger().await;
        let messages = named(&mut ledger).await;
        let mut left = messages;
        for _ in 0..KILLS {
            self.scene.world.start_gateway().await.unwrap();
            let look = async || {
                let now = named(&mut ledger).await;
                (now == 0 || now < left).then_some(now)
            };
            left = until("some are forgotten", look).await;
            self.scene.world.kill_gateway().await.unwrap();
        }
        self.scene.world.start_gateway().await.unwrap();
        while left > 0 {
            let look = async || Some(named(&mut ledger).await).filter(|now| *now < left);
            left = until("more are forgotten", look).await;
        }
        self.same_receipts().await;
        self.scene.world.stop_gateway().await.unwrap();
        self.clock.right();
        self.scene.world.start_gateway().await.unwrap();
        usize::try_from(messages).unwrap()
    }

    async fn same_receipts(&self) {
        let slips = self.scene.slips.all();
        for slip in slips.iter().step_by(slips.len().div_ceil(SAMPLE).max(1)) {
            let url = format!("{}/v1/receipts/{}", self.scene.world.note.http, slip.receipt.id);
            let text = reqwest::get(url).await.unwrap().text().await.unwrap();
            assert!(text.contains(&slip.text), "another receipt than before: {text}");
        }
    }

    async fn ledger(&self) -> SqliteConnection {
        let path = self.scene.world.home.join("ledger.db");
        SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap()
    }
}

/// Messages of which the ledger still knows how they came.
async fn named(ledger: &mut SqliteConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM message WHERE id <> ''").fetch_one(ledger).await.unwrap()
}
