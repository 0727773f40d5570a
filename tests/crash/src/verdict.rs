//! What became of each delivery.

use std::{collections::HashMap, fmt, ops::Range};

use tower_webhook::defaults;

use crate::load::Kind;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    sent: u64,
    acknowledged: usize,
    processed: usize,
    dead_letters: usize,
    outages: usize,
    /// Run again although an attempt had not failed: what was in flight at a kill.
    repeated: usize,
    /// Acknowledged, and neither processed nor a dead letter.
    lost: Vec<String>,
    /// Repeated, and not in flight at a kill.
    unexplained: Vec<String>,
    /// Settled otherwise than its payload says.
    astray: Vec<String>,
    /// The most that were run again because one crash of the server had cut them.
    most_cut: usize,
}

impl Verdict {
    pub const fn passed(&self) -> bool {
        self.lost.is_empty()
            && self.unexplained.is_empty()
            && self.astray.is_empty()
            && self.most_cut <= defaults::WORKER_CONCURRENCY
            && self.acknowledged > 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acknowledged, processed, dead_letters, outages, repeated, most_cut, .. } = self;
        write!(
            f,
            "{outages} crashes; {sent} deliveries sent, {acknowledged} acknowledged, {} lost; {processed} processed, \
             {dead_letters} dead letters; {repeated} in flight at a crash and repeated, at most {most_cut} for one crash of \
             the server, which runs {} at once",
            self.lost.len(),
            defaults::WORKER_CONCURRENCY
        )?;
        for (name, ids) in
            [("lost", &self.lost), ("repeated without a crash", &self.unexplained), ("astray", &self.astray)]
        {
            if !ids.is_empty() {
                let some: Vec<&str> = ids.iter().take(10).map(String::as_str).collect();
                write!(f, "\n{} {name}: {}", ids.len(), some.join(", "))?;
            }
        }
        Ok(())
    }
}

/// Compares what was acknowledged with the handler's log, of `ID ATTEMPT` lines, and the store's list, of
/// `STATE ID ATTEMPTS` lines. `outages` are bytes of the log.
pub fn judge(
    acknowledged: &[String],
    log: &str,
    listing: &str,
    outages: &[Range<usize>],
    sent: u64,
) -> Verdict {
    let runs = runs(log);
    let listed: HashMap<&str, (&str, usize)> = listing
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (state, id, attempts) = (fields.next()?, fields.next()?, fields.next()?);
            Some((id, (state, attempts.parse().ok()?)))
        })
        .collect();
    let mut verdict =
        Verdict { sent, acknowledged: acknowledged.len(), outages: outages.len(), ..Verdict::default() };
    for id in acknowledged {
        let ran = runs.contains_key(&**id);
        match listed.get(&**id) {
            Some(("processed", _)) if ran => {}
            Some(("dead-letter", _)) => {}
            _ => verdict.lost.push(id.clone()),
        }
    }
    let mut cuts = vec![0; outages.len()];
    // Stored without an acknowledgement that arrived, a delivery is processed all the same.
    for (id, (state, attempts)) in &listed {
        match *state {
            "processed" => verdict.processed += 1,
            "dead-letter" => verdict.dead_letters += 1,
            _ => {}
        }
        let due = if Kind::of(id) == Kind::Aborts { "dead-letter" } else { "processed" };
        if *state != due {
            verdict.astray.push(format!("{id} {state} after {attempts} attempts"));
        }
        let runs = runs.get(id).map_or(&[][..], Vec::as_slice);
        let failures = usize::from(Kind::of(id) == Kind::FailsOnce);
        if runs.len() > 1 + failures {
            verdict.repeated += usize::from(due == "processed");
            let cut: Vec<_> = runs.windows(2).map(|pair| cut(pair[0], pair[1], outages)).collect();
            let uncut = cut.iter().filter(|outage| outage.is_none()).count();
            // The first run of one that fails has ended by itself, whatever happened before the second.
            for outage in cut.into_iter().skip(failures).flatten() {
                cuts[outage] += 1;
            }
            if uncut > failures || *attempts < runs.len() {
                verdict.unexplained.push((*id).to_owned());
            }
        }
    }
    // While a store was away a server had time to run more than it runs at once.
    let of_the_server = outages.iter().zip(cuts).filter(|(outage, _)| outage.is_empty());
    verdict.most_cut = of_the_server.map(|(_, cut)| cut).max().unwrap_or_default();
    verdict
}

/// How many were acknowledged and have fewer runs than they need.
pub fn unfinished(acknowledged: &[String], log: &str) -> usize {
    let runs = runs(log);
    let needed = |id: &str| 1 + usize::from(Kind::of(id) == Kind::FailsOnce);
    acknowledged.iter().filter(|id| runs.get(&***id).map_or(0, Vec::len) < needed(id)).count()
}

/// Where in the log each delivery's attempts begin.
fn runs(log: &str) -> HashMap<&str, Vec<usize>> {
    let mut runs: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut start = 0;
    for line in log.split_inclusive('\n') {
        if let Some((id, _)) = line.split_once(' ') {
            runs.entry(id).or_default().push(start);
        }
        start += line.len();
    }
    runs
}

/// The crash that may have cut the attempt at `first`, so that there is one at `second`: the first one behind it.
fn cut(first: usize, second: usize, outages: &[Range<usize>]) -> Option<usize> {
    outages.iter().position(|outage| first < outage.end && second >= outage.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_is_nowhere_or_waits_or_never_ran_is_lost() {
        let ids = acknowledged(&["plain-1", "plain-2", "plain-3", "plain-4"]);
        let listing = "processed plain-1 1\npending plain-2 1\nprocessed plain-3 1\n";
        let verdict = judge(&ids, "plain-1 1\nplain-2 1\n", listing, &[], 4);
        assert_eq!(verdict.lost, ["plain-2", "plain-3", "plain-4"]);
        assert!(!verdict.passed());
    }

    #[test]
    fn what_never_ran_or_failed_and_was_not_run_again_is_unfinished() {
        let ids = acknowledged(&["plain-1", "plain-2", "fails-3", "fails-4"]);
        assert_eq!(unfinished(&ids, "plain-1 1\nfails-3 1\nfails-4 1\nfails-4 2\n"), 2);
    }

    #[test]
    fn a_repetition_is_explained_by_a_crash_between_its_runs_alone() {
        let log = "plain-1 1\nplain-2 1\nplain-1 2\nplain-2 2\nplain-2 3\n";
        let ids = acknowledged(&["plain-1", "plain-2"]);
        let listing = "processed plain-1 2\nprocessed plain-2 3\n";
        let verdict = judge(&ids, log, listing, &[20..20, 900..900], 2);
        assert_eq!((verdict.repeated, &verdict.unexplained[..]), (2, &["plain-2".to_owned()][..]));
        let whole = judge(&ids, log, listing, &[20..40, 40..40], 2);
        assert!(whole.passed(), "{whole}");
    }

    #[test]
    fn one_crash_cuts_no_more_than_ran() {
        let ids: Vec<String> = (0..=defaults::WORKER_CONCURRENCY).map(|id| format!("plain-{id}")).collect();
        let log = |attempt: usize, ids: &[String]| -> String {
            ids.iter().map(|id| format!("{id} {attempt}\n")).collect()
        };
        let (first, listing) = (log(1, &ids), |ids: &[String]| -> String {
            ids.iter().map(|id| format!("processed {id} 2\n")).collect()
        });
        let crash = first.len()..first.len();
        let judged = |crash: &[Range<usize>]| {
            judge(&ids, &format!("{first}{}", log(2, &ids)), &listing(&ids), crash, 65)
        };
        let verdict = judged(std::slice::from_ref(&crash));
        assert!(verdict.unexplained.is_empty() && !verdict.passed(), "{verdict}");
        let half = first.len() / 2;
        assert!(judged(&[half..half, crash]).passed(), "two crashes");
    }

    #[test]
    fn what_fails_once_runs_twice_and_what_aborts_is_a_dead_letter() {
        let log = "fails-1 1\naborts-2 1\nfails-1 2\n";
        let ids = acknowledged(&["fails-1", "aborts-2"]);
        let verdict = judge(&ids, log, "processed fails-1 2\ndead-letter aborts-2 1\n", &[], 2);
        assert!(verdict.passed(), "{verdict}");
        assert_eq!((verdict.processed, verdict.dead_letters, verdict.repeated), (1, 1, 0));
        let wrong = judge(&ids, log, "dead-letter fails-1 2\nprocessed aborts-2 1\n", &[], 2);
        assert_eq!(wrong.astray.len(), 2);
    }
}
