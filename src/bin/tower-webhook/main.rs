//! `tower-webhook`: sends signed deliveries, finds out why one is refused, and looks after an inbox.
//!
//! It ends with
//!
//! - 0 when what was asked for is so: acknowledged, verified, done;
//! - 1 when it is not: the receiver has not acknowledged, the request does not verify, there is no such delivery;
//! - 2 when the arguments are wrong;
//! - 3 when it could not be found out: a file, a secret or a store that cannot be used, nothing that could be sent.
//!
//! Results go to the standard output, as text or with `--json` as one JSON object; progress goes to the standard error.

mod arguments;
mod causes;
mod client;
mod diagnose;
mod fault;
mod inbox;
mod output;
mod providers;
mod reencode;
mod send;
mod store;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use fault::Fault;
use output::Output;

/// Whether what was asked for is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output { json: arguments.json };
    match run(arguments, &output) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(fault) => {
            output.progress(format_args!("tower-webhook: {}", fault.chain()));
            ExitCode::from(fault.exit_code())
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<Answer, Fault> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::Runtime)?;
    match arguments.command {
        Command::Send(send) => runtime.block_on(send::run(send, output)),
        Command::Verify(verify) => runtime.block_on(verify::run(verify, output)),
        Command::Inbox(inbox) => runtime.block_on(inbox::run(inbox, output)),
        Command::Providers => providers::run(output),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "tower-webhook", &mut script);
            output.raw(&script)?;
            Ok(Answer::Yes)
        }
    }
}
