//! Judges generated requests with tower-webhook and with the crates `svix` and `standardwebhooks`, and demands that every
//! difference be one that is explained: `differential [CASES] [SEED]`.
//!
//! Prints how often they agreed and how often they differed for each reason; ends with 1 on a difference without one.

mod case;
mod explain;
mod judges;

use std::{collections::BTreeMap, process::ExitCode};

use case::Case;
use judges::{Judge, Judgement};

const CASES: u64 = 100_000;
/// Differences without a reason that are printed in full.
const SHOWN: usize = 10;

#[derive(Default)]
struct Tally {
    both_accept: u64,
    both_reject: u64,
    explained: BTreeMap<&'static str, u64>,
    unexplained: u64,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Ok(cases), Ok(seed)) = (arguments.next().unwrap_or(Ok(CASES)), arguments.next().unwrap_or(Ok(1)))
    else {
        eprintln!("usage: differential [CASES] [SEED]");
        return ExitCode::from(2);
    };
    // A panic of a crate that is compared is a judgement, and not told at length.
    std::panic::set_hook(Box::new(|_| {}));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tallies: [(Judge, Tally); 2] =
        [(Judge::Svix, Tally::default()), (Judge::StandardWebhooks, Tally::default())];
    let (mut shown, mut alike, mut otherwise) = (0, 0_u64, 0_u64);
    for number in 0..cases {
        let case = Case::generate(&mut random);
        match judges::sign_alike(&case, &format!("msg_{number}")) {
            Some(true) => alike += 1,
            Some(false) => otherwise += 1,
            None => {}
        }
        for (judge, tally) in &mut tallies {
            let (ours, theirs) = (judge.ours(&case), judge.theirs(&case));
            match (ours, theirs) {
                (Judgement::Accept, Judgement::Accept) => tally.both_accept += 1,
                (Judgement::Reject, Judgement::Reject) => tally.both_reject += 1,
                _ => match explain::difference(&case, *judge, ours, theirs) {
                    Some(reason) => *tally.explained.entry(reason).or_default() += 1,
                    None => {
                        tally.unexplained += 1;
                        shown += 1;
                        if shown <= SHOWN {
                            println!("case {number}, {judge:?}: we {ours:?}, they {theirs:?}: {case:?}");
                        }
                    }
                },
            }
        }
    }
    println!("{cases} cases, seed {seed}");
    println!("{alike:>9}  signed alike by all three");
    println!("{otherwise:>9}  signed otherwise");
    let mut unexplained = otherwise;
    for (judge, tally) in tallies {
        println!("\n{}", judge.name());
        println!("{:>9}  both accept", tally.both_accept);
        println!("{:>9}  both reject", tally.both_reject);
        for (reason, count) in tally.explained {
            println!("{count:>9}  {reason}");
        }
        println!("{:>9}  without an explanation", tally.unexplained);
        unexplained += tally.unexplained;
    }
    if unexplained == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
