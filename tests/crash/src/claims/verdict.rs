//! What became of each delivery, and whether a kill explains what ran again.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Range,
};

use http::StatusCode;

use crate::load::Answer;

/// When something was killed and until it was there again, in microseconds of the time of day.
#[derive(Default)]
pub struct Upsets {
    pub of_server: Vec<Range<u64>>,
    pub of_redis: Vec<Range<u64>>,
    /// While a server was up and Redis was not.
    pub away: Vec<Range<u64>>,
}

impl Upsets {
    fn any_between(&self, from: u64, until: u64) -> bool {
        self.of_server.iter().chain(&self.of_redis).any(|upset| upset.start <= until && upset.end >= from)
    }

    fn away(&self, time: u64) -> Option<&Range<u64>> {
        self.away.iter().find(|away| away.contains(&time))
    }
}

#[derive(Debug, Default)]
pub struct Verdict {
    kills: (usize, usize),
    deliveries: usize,
    processed: usize,
    /// Acknowledged before a kill, and after it again, without a run between.
    remembered: usize,
    /// Run again since a kill cut the handler, or came between its end and the settlement.
    cut: usize,
    unsettled: usize,
    refused_while_away: usize,
    /// Never acknowledged, or acknowledged before a run had ended.
    lost: Vec<String>,
    /// Run again, and not in flight at a kill.
    unexplained: Vec<String>,
    /// Answered otherwise than 503, or run, while Redis was away.
    served_while_away: Vec<String>,
}

impl Verdict {
    /// A test in which no claim had to outlive a kill, or nobody asked while Redis was away, has tested nothing.
    pub const fn passed(&self) -> bool {
        let clean = self.lost.is_empty() && self.unexplained.is_empty() && self.served_while_away.is_empty();
        clean && self.remembered > 0 && (self.refused_while_away > 0 || self.kills.1 == 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills of the server, {} of Redis; {} deliveries sent, {} processed, {} lost; {} came again after a kill and \
             did not run; {} ran again, of which {} were cut in their handler and {} before their settlement; {} requests \
             while Redis was away, answered 503",
            self.kills.0,
            self.kills.1,
            self.deliveries,
            self.processed,
            self.lost.len(),
            self.remembered,
            self.cut + self.unsettled,
            self.cut,
            self.unsettled,
            self.refused_while_away,
        )?;
        for (name, ids) in [
            ("lost", &self.lost),
            ("run again without a kill", &self.unexplained),
            ("served while Redis was away", &self.served_while_away),
        ] {
            if !ids.is_empty() {
                let some: Vec<&str> = ids.iter().take(10).map(String::as_str).collect();
                write!(f, "\n{} {name}: {}", ids.len(), some.join(", "))?;
            }
        }
        Ok(())
    }
}

/// One run of a handler.
#[derive(Clone, Copy)]
struct Run {
    begun: u64,
    end: Option<(u64, bool)>,
}

/// Compares the handler's log, of `begun|ended|failed ID TIME` lines, with what the sender saw.
pub fn judge(log: &str, answers: &[Answer], upsets: &Upsets) -> Verdict {
    let runs = runs(log);
    let mut verdict =
        Verdict { kills: (upsets.of_server.len(), upsets.of_redis.len()), ..Verdict::default() };
    let mut deliveries: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        deliveries.entry(&answer.id).or_default().push(answer);
        verdict.look_at(answer, upsets);
    }
    verdict.deliveries = deliveries.len();
    for (id, answers) in &deliveries {
        verdict.follow(id, answers, runs.get(id).map_or(&[], Vec::as_slice), upsets);
    }
    verdict
}

impl Verdict {
    fn look_at(&mut self, answer: &Answer, upsets: &Upsets) {
        // One that began before, or was answered after it, may have met a Redis.
        if !upsets.away(answer.sent).is_some_and(|away| away.contains(&answer.answered)) {
            return;
        }
        match answer.status {
            Some(StatusCode::SERVICE_UNAVAILABLE) => self.refused_while_away += 1,
            Some(other) => self.served_while_away.push(format!("{} was answered {other}", answer.id)),
            None => {}
        }
    }

    fn follow(&mut self, id: &str, answers: &[&Answer], runs: &[Run], upsets: &Upsets) {
        let acknowledged: Vec<&Answer> = answers
            .iter()
            .copied()
            .filter(|answer| answer.status.is_some_and(|status| status.is_success()))
            .collect();
        let first = acknowledged.iter().map(|answer| answer.answered).min();
        let processed =
            runs.iter().filter_map(|run| run.end).filter(|(_, well)| *well).map(|(end, _)| end).min();
        self.processed += usize::from(processed.is_some());
        match (first, processed) {
            (Some(first), Some(processed)) if processed <= first => {}
            _ => self.lost.push(id.to_owned()),
        }
        let again = |answer: &&&Answer| first.is_some_and(|first| upsets.any_between(first, answer.sent));
        self.remembered += acknowledged.iter().filter(again).count();

        let new = answers.iter().map(|answer| answer.sent).min().and_then(|sent| upsets.away(sent));
        if new.is_some_and(|away| runs.iter().any(|run| away.contains(&run.begun))) {
            self.served_while_away.push(format!("{id} ran"));
        }
        for pair in runs.windows(2) {
            self.explain(id, pair[0], pair[1], &acknowledged, upsets);
        }
    }

    /// Until somebody was told that it is processed, a kill leaves open what becomes of a run; from then on none may.
    fn explain(&mut self, id: &str, run: Run, next: Run, acknowledged: &[&Answer], upsets: &Upsets) {
        if run.end.is_some_and(|(_, well)| !well) {
            return;
        }
        let told = acknowledged.iter().map(|answer| answer.answered).filter(|at| *at >= run.begun).min();
        let open_until = told.unwrap_or(u64::MAX).min(next.begun);
        if !upsets.any_between(run.begun, open_until) {
            self.unexplained.push(id.to_owned());
        } else if run.end.is_some_and(|(end, _)| end <= next.begun) {
            self.unsettled += 1;
        } else {
            self.cut += 1;
        }
    }
}

fn runs(log: &str) -> HashMap<&str, Vec<Run>> {
    let mut runs: HashMap<&str, Vec<Run>> = HashMap::new();
    for line in log.lines() {
        let mut fields = line.split(' ');
        let (Some(what), Some(id), Some(Ok(time))) =
            (fields.next(), fields.next(), fields.next().map(str::parse::<u64>))
        else {
            continue;
        };
        let runs = runs.entry(id).or_default();
        if what == "begun" {
            runs.push(Run { begun: time, end: None });
        } else if let Some(run) = runs.iter_mut().rev().find(|run| run.end.is_none()) {
            run.end = Some((time, what == "ended"));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, sent: u64, answered: u64, status: u16) -> Answer {
        Answer { id: id.to_owned(), sent, answered, status: StatusCode::from_u16(status).ok() }
    }

    fn only(upset: Range<u64>) -> Vec<Range<u64>> {
        std::iter::once(upset).collect()
    }

    fn killed(at: u64) -> Upsets {
        Upsets { of_server: only(at..at + 1), ..Upsets::default() }
    }

    #[test]
    fn what_is_not_acknowledged_or_never_ran_to_its_end_is_lost() {
        let log = "begun a 10\nended a 12\nbegun b 10\nbegun c 20\nended c 30\n";
        let answers = [
            answer("a", 9, 15, 503),
            answer("b", 9, 15, 200),
            answer("c", 19, 25, 200),
            answer("d", 9, 15, 200),
        ];
        let verdict = judge(log, &answers, &killed(1));
        assert_eq!(verdict.lost, ["a", "b", "c", "d"]);
        assert!(!verdict.passed());
    }

    #[test]
    fn a_second_run_is_explained_by_a_kill_before_the_first_was_acknowledged_alone() {
        let log = "begun a 10\nended a 12\nbegun a 30\nended a 32\n";
        let unanswered = [answer("a", 9, 21, 0), answer("a", 25, 34, 200)];
        let verdict = judge(log, &unanswered, &killed(20));
        assert_eq!((verdict.unsettled, verdict.cut, verdict.unexplained.len()), (1, 0, 0));
        let told = [answer("a", 9, 15, 200), answer("a", 25, 34, 200)];
        assert_eq!(judge(log, &told, &killed(20)).unexplained, ["a"], "it had been acknowledged");
        assert_eq!(judge(log, &unanswered, &killed(5)).unexplained, ["a"], "the kill was before it");
    }

    #[test]
    fn a_run_that_did_not_end_was_cut_and_one_that_failed_may_run_again() {
        let log = "begun a 10\nbegun b 10\nfailed b 11\nbegun b 13\nended b 14\nbegun a 30\nended a 32\n";
        let answers = [answer("a", 9, 21, 0), answer("a", 25, 34, 200), answer("b", 12, 15, 200)];
        let verdict = judge(log, &answers, &killed(20));
        assert_eq!((verdict.cut, verdict.unsettled, verdict.processed), (1, 0, 2));
        assert!(verdict.unexplained.is_empty() && verdict.lost.is_empty(), "{verdict}");
        assert_eq!(judge(log, &answers, &Upsets::default()).unexplained, ["a"]);
    }

    #[test]
    fn it_passes_only_where_a_claim_has_outlived_a_kill() {
        let log = "begun a 10\nended a 12\n";
        let once = [answer("a", 9, 15, 200)];
        assert!(!judge(log, &once, &killed(20)).passed());
        let again = [answer("a", 9, 15, 200), answer("a", 25, 26, 200)];
        let verdict = judge(log, &again, &killed(20));
        assert_eq!(verdict.remembered, 1);
        assert!(verdict.passed(), "{verdict}");
    }

    #[test]
    fn while_redis_is_away_all_are_answered_503_and_nothing_new_runs() {
        let upsets = Upsets { of_redis: only(9..41), away: only(10..40), ..Upsets::default() };
        let log = "begun a 5\nended a 12\nbegun b 30\nended b 31\n";
        let answers = [
            answer("a", 4, 13, 200),
            answer("a", 14, 15, 503),
            answer("b", 20, 50, 200),
            answer("c", 20, 21, 200),
            answer("a", 60, 61, 200),
        ];
        let verdict = judge(log, &answers, &upsets);
        assert_eq!(verdict.refused_while_away, 1);
        let served = ["c was answered 200 OK", "b ran"];
        assert_eq!(verdict.served_while_away, served);
    }
}
