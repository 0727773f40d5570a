//! `inbox`: what operators do.

use std::{fmt::Write as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tower_webhook::{
    inbox::Inbox,
    store::{Filter, RecordId, State, Summary},
};

use crate::{
    Answer,
    arguments::{self, StateName, Task},
    fault::{Fault, chain},
    output::Output,
    store,
};

pub async fn run(arguments: arguments::Inbox, output: &Output) -> Result<Answer, Fault> {
    let inbox = store::open(arguments.store, arguments.schema).await?;
    match arguments.task {
        Task::Counts => counts(&inbox, output).await,
        Task::List { filter, limit, after } => {
            let filter = Filter { limit: Some(limit), after: after.map(RecordId), ..filter_of(filter) };
            list(&inbox, &filter, output).await
        }
        Task::Show { number, payload } => show(&inbox, RecordId(number), payload, output).await,
        Task::Requeue { numbers, filter, .. } => requeue(&inbox, &numbers, filter, output).await,
        Task::Purge { filter, .. } => {
            let mut filter = filter_of(filter);
            // A dead letter is the only copy of what nobody has processed: it is deleted only where it is named.
            filter.state.get_or_insert(State::Processed);
            let purged = inbox.purge(&filter).await?;
            output.result(&json!({ "purged": purged }), &format!("purged {purged}\n"))?;
            Ok(Answer::Yes)
        }
    }
}

fn filter_of(filter: arguments::Filter) -> Filter {
    Filter {
        endpoint: filter.of.endpoint.map(Into::into),
        state: filter.state.map(|name| match name {
            StateName::Pending => State::Pending,
            StateName::Running => State::Running,
            StateName::Processed => State::Processed,
            StateName::DeadLetter => State::DeadLetter,
            StateName::Mismatch => State::Mismatch,
        }),
        older_than: filter.older_than,
        ..Filter::default()
    }
}

async fn counts(inbox: &Inbox, output: &Output) -> Result<Answer, Fault> {
    let (mut text, mut rows) = (String::new(), Vec::new());
    for count in inbox.counts().await? {
        // Writing into a string does not fail, here and below.
        let _ = writeln!(
            text,
            "{:<24} {:<12} {:>9}, the oldest {} old",
            shown(&count.endpoint),
            count.state.name(),
            count.deliveries,
            age(count.oldest)
        );
        rows.push(json!({
            "endpoint": count.endpoint,
            "state": count.state.name(),
            "deliveries": count.deliveries,
            "oldest_seconds": count.oldest.as_secs_f64(),
        }));
    }
    output.result(&json!({ "counts": rows }), &text)?;
    Ok(Answer::Yes)
}

async fn list(inbox: &Inbox, filter: &Filter, output: &Output) -> Result<Answer, Fault> {
    let page = inbox.list(filter).await?;
    let mut text = String::new();
    for one in &page {
        let _ = writeln!(
            text,
            "{:>8} {:<12} {:<20} {:<36} {:<24} {:>2} attempts, {} old",
            one.id,
            one.state.name(),
            shown(&one.endpoint),
            shown(one.delivery_id.as_deref().unwrap_or("-")),
            shown(one.event_type.as_deref().unwrap_or("-")),
            one.attempts,
            age(one.age)
        );
    }
    let rows: Vec<Value> = page.iter().map(json_of).collect();
    output.result(&json!({ "deliveries": rows }), &text)?;
    Ok(Answer::Yes)
}

async fn show(inbox: &Inbox, id: RecordId, payload: bool, output: &Output) -> Result<Answer, Fault> {
    let Some(delivery) = inbox.show(id, payload).await? else {
        output.result(&json!({ "found": false }), &format!("there is no delivery {id}\n"))?;
        return Ok(Answer::No);
    };
    let summary = &delivery.summary;
    let mut text = format!(
        "number      {}\nendpoint    {}\nstate       {}\ndelivery id {}\nevent type  {}\nattempts    {}\nage         {}\n",
        summary.id,
        shown(&summary.endpoint),
        summary.state.name(),
        shown(summary.delivery_id.as_deref().unwrap_or("-")),
        shown(summary.event_type.as_deref().unwrap_or("-")),
        summary.attempts,
        age(summary.age),
    );
    if let Some(due) = summary.due_in {
        let _ = writeln!(text, "due in      {}", age(due));
    }
    for failed in &summary.history {
        let _ = writeln!(
            text,
            "attempt {:>3} {}, {} ago",
            failed.attempt,
            shown(&failed.reason),
            age(failed.ago)
        );
    }
    let mut json = json_of(summary);
    match &delivery.payload {
        Some(Ok(payload)) => {
            json["payload_base64"] = STANDARD.encode(payload).into();
            let _ = writeln!(text, "payload     {} bytes\n{}", payload.len(), payload_text(payload));
        }
        Some(Err(error)) => {
            json["payload_error"] = chain(error).into();
            let _ = writeln!(text, "payload     cannot be read: {}", chain(error));
        }
        None => {}
    }
    output.result(&json, &text)?;
    Ok(Answer::Yes)
}

async fn requeue(
    inbox: &Inbox,
    numbers: &[i64],
    filter: arguments::OfEndpoint,
    output: &Output,
) -> Result<Answer, Fault> {
    let mut requeued = 0;
    if numbers.is_empty() {
        let filter = Filter { endpoint: filter.endpoint.map(Into::into), ..Filter::default() };
        requeued = inbox.requeue(&filter).await?;
    }
    for number in numbers {
        requeued += u64::from(inbox.requeue_one(RecordId(*number)).await?);
    }
    output.result(&json!({ "requeued": requeued }), &format!("requeued {requeued}\n"))?;
    let all = numbers.is_empty() || requeued == numbers.len() as u64;
    Ok(if all { Answer::Yes } else { Answer::No })
}

fn json_of(one: &Summary) -> Value {
    let history = one.history.iter().map(|failed| {
        json!({
            "attempt": failed.attempt,
            "seconds_ago": failed.ago.as_secs_f64(),
            "reason": failed.reason,
        })
    });
    json!({
        "number": one.id.0,
        "endpoint": one.endpoint,
        "state": one.state.name(),
        "delivery_id": one.delivery_id,
        "event_type": one.event_type,
        "order_key": one.order_key,
        "attempts": one.attempts,
        "age_seconds": one.age.as_secs_f64(),
        "due_in_seconds": one.due_in.map(|due| due.as_secs_f64()),
        "history": history.collect::<Vec<_>>(),
    })
}

/// Text that a sender may have chosen, for a terminal: no control character reaches it.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}

fn payload_text(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) => text.lines().map(shown).collect::<Vec<_>>().join("\n"),
        Err(_) => STANDARD.encode(payload),
    }
}

fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
