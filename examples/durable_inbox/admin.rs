//! What an operator asks of a store.

use std::io::{self, Write};

use tower_webhook::{inbox::Inbox, store::Filter};

use crate::{Fault, arguments::Task};

/// Deliveries that are read at once.
const PAGE: usize = 1000;

pub async fn perform(inbox: &Inbox, task: Task) -> Result<(), Fault> {
    match task {
        Task::Counts => {
            for count in inbox.counts().await? {
                println!("{} {} {}", count.endpoint, count.state.name(), count.deliveries);
            }
        }
        Task::List => list(inbox).await?,
        Task::Requeue => println!("requeued {}", inbox.requeue(&Filter::default()).await?),
    }
    Ok(())
}

async fn list(inbox: &Inbox) -> Result<(), Fault> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut filter = Filter { limit: Some(PAGE), ..Filter::default() };
    loop {
        let page = inbox.list(&filter).await?;
        for one in &page {
            let id = one.delivery_id.as_deref().unwrap_or("-");
            writeln!(out, "{} {id} {}", one.state.name(), one.attempts)?;
        }
        match page.last() {
            Some(last) => filter.after = Some(last.id),
            None => return Ok(out.flush()?),
        }
    }
}
