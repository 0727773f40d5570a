//! What is sent, and what is promised to come of it.

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use tower_webhook::{SigningSecret, provider};

use crate::{
    app::{BURST, Journal},
    sender::{Answer, Draft, Sender},
    table::Row,
};

type Failure = Box<dyn Error + Send + Sync>;

/// An address that the allowlist admits, as a trusted proxy would name it.
const PROVIDER: &str = "192.0.2.10";
/// One that it does not.
const STRANGER: &str = "203.0.113.66";

/// Everything that the scenarios share.
pub struct Stage {
    pub github: Sender,
    pub stripe: Sender,
    pub dasha: Sender,
    pub journal: Journal,
}

impl Stage {
    pub fn new(base: &str, secret: &SigningSecret, journal: Journal) -> Self {
        let to = |provider, path| Sender::new(provider, secret.clone(), format!("{base}{path}"));
        Self {
            github: to(provider::GITHUB, "/github"),
            stripe: to(provider::STRIPE, "/stripe"),
            dasha: to(provider::DASHA_BLACKBOX, "/dasha"),
            journal,
        }
    }

    /// Sends one delivery and makes a row of what came back.
    async fn row(
        &self,
        sender: &Sender,
        sent: &str,
        draft: Draft,
        promised: StatusCode,
        why: impl FnOnce(&Answer) -> (String, bool),
    ) -> Result<Row, Failure> {
        self.journal.take_refusal();
        let answer = sender.send(draft).await?;
        Ok(Self::told(sent, &answer, promised, why))
    }

    /// A row of an answer that came.
    fn told(
        sent: &str,
        answer: &Answer,
        promised: StatusCode,
        why: impl FnOnce(&Answer) -> (String, bool),
    ) -> Row {
        let (why, held) = why(answer);
        let answered = match &answer.retry_after {
            Some(seconds) => format!("{} after {seconds} s", answer.status.as_u16()),
            None => answer.status.as_u16().to_string(),
        };
        let as_promised = answer.status == promised && held;
        Row { sent: sent.to_owned(), answered, why, took: answer.took, as_promised }
    }

    /// The reason of a refusal, which must have this code.
    fn refusal(&self, code: &str) -> (String, bool) {
        match self.journal.take_refusal() {
            Some(rejection) => (rejection.to_string(), rejection.code() == code),
            None => ("nothing was refused".into(), false),
        }
    }

    /// Waits until the handler has processed a delivery so often.
    async fn processed(&self, id: &str, times: usize) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.journal.finished(id) < times {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.journal.finished(id) == times
    }
}

/// Plays all of them, in order.
pub async fn play(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let mut rows = valid(stage).await?;
    rows.extend(repeated(stage).await?);
    rows.extend(forged(stage).await?);
    rows.extend(kept_out(stage).await?);
    rows.extend(acknowledged_first(stage).await?);
    Ok(rows)
}

const STRIPE_EVENT: &str = r#"{"id":"evt_quickstart_1","type":"invoice.paid","data":{"object":{}}}"#;
const STARTING_CALL: &str = r#"{"type":"StartWebHookPayload","status":"Queued","callId":"call-1","agentId":"agent-1","orgId":"org-1"}"#;
const COMPLETED_CALL: &str = r#"{"type":"CompletedWebHookPayload","status":"Completed","callId":"call-1","agentId":"agent-1","orgId":"org-1"}"#;

async fn valid(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let Stage { github, stripe, dasha, journal } = stage;
    let mut rows = Vec::new();
    let draft = github.draft("github-valid", r#"{"zen":"Design for failure."}"#, PROVIDER)?;
    rows.push(
        stage
            .row(github, "GitHub, valid", draft, StatusCode::OK, |answer| {
                ("verified, acknowledged first".into(), answer.body.contains("received"))
            })
            .await?,
    );
    let draft = stripe.draft("", STRIPE_EVENT, PROVIDER)?;
    rows.push(
        stage
            .row(stripe, "Stripe, valid", draft, StatusCode::OK, |_| {
                let runs = journal.runs("evt_quickstart_1");
                (format!("verified, the handler answered (ran {runs}×)"), runs == 1)
            })
            .await?,
    );
    let draft = dasha.draft("dasha-start", STARTING_CALL, PROVIDER)?;
    rows.push(
        stage
            .row(dasha, "Dasha BlackBox, a call starts", draft, StatusCode::OK, |answer| {
                (format!("verified, the handler decided {}", answer.body), answer.body.contains("accept"))
            })
            .await?,
    );
    let draft = dasha.draft("dasha-completed", COMPLETED_CALL, PROVIDER)?;
    rows.push(
        stage
            .row(dasha, "Dasha BlackBox, a call completed", draft, StatusCode::OK, |answer| {
                ("verified, acknowledged first".into(), answer.body.contains("received"))
            })
            .await?,
    );
    Ok(rows)
}

async fn repeated(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let Stage { github, stripe, journal, .. } = stage;
    let first_done = stage.processed("github-valid", 1).await;
    let draft = github.draft("github-valid", r#"{"zen":"Design for failure."}"#, PROVIDER)?;
    let github_again = stage
        .row(github, "GitHub, the same again", draft, StatusCode::OK, |_| {
            let runs = journal.runs("github-valid");
            (format!("duplicate, the first answer (ran {runs}×)"), first_done && runs == 1)
        })
        .await?;
    let draft = stripe.draft("", STRIPE_EVENT, PROVIDER)?;
    let stripe_again = stage
        .row(stripe, "Stripe, the same again, newly signed", draft, StatusCode::OK, |_| {
            let runs = journal.runs("evt_quickstart_1");
            (format!("duplicate, the first answer (ran {runs}×)"), runs == 1)
        })
        .await?;
    Ok(vec![github_again, stripe_again])
}

async fn forged(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let Stage { github, stripe, journal, .. } = stage;
    let mut rows = Vec::new();
    let draft = github.draft("github-tampered", r#"{"amount":1}"#, PROVIDER)?.tampered(r#"{"amount":9}"#);
    rows.push(
        stage
            .row(github, "GitHub, tampered with", draft, StatusCode::UNAUTHORIZED, |_| {
                stage.refusal("signature-mismatch")
            })
            .await?,
    );
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let draft = stripe.draft_at("", r#"{"id":"evt_stale","type":"invoice.paid"}"#, PROVIDER, long_ago)?;
    rows.push(
        stage
            .row(stripe, "Stripe, well signed an hour ago", draft, StatusCode::UNAUTHORIZED, |_| {
                stage.refusal("timestamp-too-old")
            })
            .await?,
    );
    let nobody = format!("sha256={}", "0".repeat(64));
    let draft = github.draft("github-later", "{}", PROVIDER)?.with("x-hub-signature-256", &nobody);
    rows.push(
        stage
            .row(github, "GitHub, forged under a delivery id", draft, StatusCode::UNAUTHORIZED, |_| {
                stage.refusal("signature-mismatch")
            })
            .await?,
    );
    let draft = github.draft("github-later", "{}", PROVIDER)?;
    let mut row = stage
        .row(github, "GitHub, the real one under that id", draft, StatusCode::OK, |_| {
            ("the forgery left no trace, the handler ran".into(), true)
        })
        .await?;
    row.as_promised &= stage.processed("github-later", 1).await && journal.runs("github-later") == 1;
    rows.push(row);
    Ok(rows)
}

async fn kept_out(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let Stage { github, .. } = stage;
    let draft = github.draft("github-stranger", "{}", &format!("{PROVIDER}, {STRANGER}"))?;
    let stranger = stage
        .row(github, "GitHub, a stranger behind the proxy", draft, StatusCode::FORBIDDEN, |_| {
            stage.refusal("address-not-allowed")
        })
        .await?;
    let busy = "192.0.2.77";
    let mut passed = 0;
    // The quota refills while the burst is sent, so a little more than the burst passes; on a slow machine, much more.
    let refused = loop {
        let answer = github.send(github.draft("github-burst", "{}", busy)?).await?;
        if answer.status != StatusCode::OK {
            break answer;
        }
        passed += 1;
        if passed == 100 * BURST {
            return Err(format!("{passed} requests of one address were not refused").into());
        }
    };
    let sent = format!("GitHub, after {passed} from one address");
    let over = Stage::told(&sent, &refused, StatusCode::TOO_MANY_REQUESTS, |answer| {
        let (why, held) = stage.refusal("over-quota");
        (why, held && passed >= BURST && answer.retry_after.is_some())
    });
    Ok(vec![stranger, over])
}

async fn acknowledged_first(stage: &Stage) -> Result<Vec<Row>, Failure> {
    let Stage { github, journal, .. } = stage;
    let mut rows = Vec::new();
    let started = Instant::now();
    let draft = github.draft("github-slow", r#"{"sleep_ms":2000}"#, PROVIDER)?;
    let mut row = stage
        .row(github, "GitHub, a handler that takes 2 s", draft, StatusCode::OK, |answer| {
            ("acknowledged at once".into(), answer.took < Duration::from_secs(1))
        })
        .await?;
    row.as_promised &= stage.processed("github-slow", 1).await && started.elapsed() >= Duration::from_secs(2);
    row.why = format!("{}, processed after {:.1} s", row.why, started.elapsed().as_secs_f64());
    rows.push(row);
    let draft = github.draft("github-flaky", r#"{"fail":2}"#, PROVIDER)?;
    let mut row = stage
        .row(github, "GitHub, a handler that fails twice", draft, StatusCode::OK, |_| (String::new(), true))
        .await?;
    row.as_promised &= stage.processed("github-flaky", 1).await && journal.runs("github-flaky") == 3;
    row.why = format!("acknowledged, processed in attempt {}", journal.runs("github-flaky"));
    rows.push(row);
    Ok(rows)
}
