//! The arguments.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tower_webhook::{Provider, SigningSecret, provider};

use crate::fault::Fault;

/// Sends signed webhooks, finds out why one is refused, and looks after an inbox.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 it is so; 1 it is not (not acknowledged, not verified, not found); \
                                 2 wrong arguments; 3 it could not be found out."
)]
pub struct Arguments {
    /// Write the result as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign a file or a sample as a provider does, and deliver it with the provider's retries.
    Send(Send),
    /// Judge a captured request, and find out why it is refused.
    Verify(Verify),
    /// Look at a stored inbox, and after it.
    Inbox(Inbox),
    /// List the providers and what is known of them.
    Providers,
    /// Write a completion script.
    Completion {
        /// For this shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub struct Secrets {
    /// The signing secret is in this environment variable. May be given several times.
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Vec<String>,
    /// The signing secret is in this file. May be given several times.
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
    /// The signing secret itself. Everybody on this machine can read it in the list of processes.
    #[arg(long, value_name = "TEXT")]
    insecure_secret: Vec<String>,
}

impl Secrets {
    /// The secrets with their text; one at least.
    pub fn read(&self) -> Result<Vec<Secret>, Fault> {
        let mut secrets = Vec::new();
        for name in &self.secret_env {
            let secret = SigningSecret::from_env(name)?;
            let text = std::env::var(name).unwrap_or_default();
            secrets.push(Secret { text, secret });
        }
        for path in &self.secret_file {
            secrets.push(Secret::from_file(path)?);
        }
        for text in &self.insecure_secret {
            secrets.push(Secret { text: text.clone(), secret: SigningSecret::from_text(text.clone())? });
        }
        if secrets.is_empty() { Err(Fault::NoSecret) } else { Ok(secrets) }
    }
}

/// A secret, and its text to try other readings of.
#[derive(Clone)]
pub struct Secret {
    pub text: String,
    pub secret: SigningSecret,
}

impl Secret {
    fn from_file(path: &PathBuf) -> Result<Self, Fault> {
        let secret = SigningSecret::from_file(path)?;
        let text =
            std::fs::read_to_string(path).map_err(|source| Fault::Read { path: path.clone(), source })?;
        // As `SigningSecret` reads it, and no more: a second newline is part of the secret, and is what is to be found out.
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self { text: line.strip_suffix('\r').unwrap_or(line).to_owned(), secret })
    }

    pub fn from_env(name: &str) -> Result<Self, Fault> {
        Ok(Self { secret: SigningSecret::from_env(name)?, text: std::env::var(name).unwrap_or_default() })
    }
}

#[derive(Debug, Args)]
pub struct Send {
    /// Who sends: a name from `tower-webhook providers`.
    #[arg(long)]
    pub provider: String,
    #[command(flatten)]
    pub secrets: Secrets,
    /// The body; `-` is the standard input. A made-up one unless given.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The delivery id; a fresh one unless given.
    #[arg(long)]
    pub id: Option<String>,
    /// The event type, for providers that send it in a header.
    #[arg(long)]
    pub event_type: Option<String>,
    /// Another header, as `Name: value`.
    #[arg(long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// The address that the receiver is known by, where the URL is a tunnel's.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Attempts at most; as many as the provider makes unless given.
    #[arg(long)]
    pub attempts: Option<usize>,
    /// The waits between the attempts in seconds, such as 1,5,25, in place of the provider's.
    #[arg(long, value_delimiter = ',', value_parser = seconds)]
    pub waits: Option<Vec<Duration>>,
    /// How long an answer is waited for, in seconds; as long as the provider waits unless given.
    #[arg(long, value_parser = seconds, value_name = "SECONDS")]
    pub answer_limit: Option<Duration>,
    /// Where to: http://127.0.0.1:3000/webhooks/stripe.
    pub url: String,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Who has sent it: a name from `tower-webhook providers`.
    #[arg(long)]
    pub provider: String,
    #[command(flatten)]
    pub secrets: Secrets,
    /// A secret that is no longer valid is in this environment variable.
    #[arg(long, value_name = "VARIABLE")]
    pub retired_secret_env: Vec<String>,
    /// A secret that is no longer valid is in this file.
    #[arg(long, value_name = "FILE")]
    pub retired_secret_file: Vec<PathBuf>,
    /// The captured request: HTTP/1.1 as it was on the line, or a JSON object with method, url, headers, body_base64 and
    /// now_unix. `-` is the standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["headers", "body", "method", "url"])]
    pub capture: Option<PathBuf>,
    /// In place of a capture: a header, as `Name: value`.
    #[arg(long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// In place of a capture: the exact body; `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
    /// In place of a capture: the method.
    #[arg(long)]
    pub method: Option<String>,
    /// In place of a capture: the path and the query, or the full URL.
    #[arg(long)]
    pub url: Option<String>,
    /// The address that the provider sends to, for schemes that sign it: https://hooks.example.com.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// When it was received: seconds since 1970, or RFC 3339. Now, unless given here or in the capture.
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}

impl Verify {
    pub fn retired(&self) -> Result<Vec<Secret>, Fault> {
        let named = self.retired_secret_env.iter().map(|name| Secret::from_env(name));
        named.chain(self.retired_secret_file.iter().map(Secret::from_file)).collect()
    }
}

#[derive(Debug, Args)]
pub struct Inbox {
    /// Where it is: `sqlite:PATH` or `postgres:URL`; in the environment variable TOWER_WEBHOOK_STORE, where a password is not
    /// seen, unless given.
    #[arg(long, global = true)]
    pub store: Option<String>,
    /// The schema of its tables in Postgres, where it is not tower_webhook.
    #[arg(long, global = true)]
    pub schema: Option<String>,
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// How many deliveries stand where.
    Counts,
    /// List deliveries, by rising number.
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// With a higher number than this one: the last of the page before.
        #[arg(long, value_name = "NUMBER")]
        after: Option<i64>,
    },
    /// Show one delivery, and why it has failed.
    Show {
        /// Its number.
        number: i64,
        /// Write its payload, and with `--json` all of it in base64.
        #[arg(long)]
        payload: bool,
    },
    /// Make dead letters pending again.
    Requeue {
        /// The numbers of some.
        #[arg(required_unless_present = "all", conflicts_with_all = ["all", "endpoint"])]
        numbers: Vec<i64>,
        /// All of them, or all that the filter means.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        filter: OfEndpoint,
    },
    /// Delete settled deliveries: processed ones, and with `--state` dead letters or mismatches in their place.
    ///
    /// The deduplication keys of what is deleted are forgotten with it: a sender that sends it again is not told that it has
    /// been here, and it runs once more.
    Purge {
        #[command(flatten)]
        filter: Filter,
        /// However new they are.
        #[arg(long, required_unless_present = "older_than", conflicts_with = "older_than")]
        all: bool,
    },
}

#[derive(Debug, Args)]
pub struct OfEndpoint {
    /// Of this endpoint alone.
    #[arg(long)]
    pub endpoint: Option<String>,
}

#[derive(Debug, Args)]
pub struct Filter {
    #[command(flatten)]
    pub of: OfEndpoint,
    /// In this state alone.
    #[arg(long)]
    pub state: Option<StateName>,
    /// Received at least so long ago: 90s, 15m, 12h, 7d.
    #[arg(long, value_parser = duration)]
    pub older_than: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StateName {
    Pending,
    Running,
    Processed,
    DeadLetter,
    Mismatch,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "write a number of seconds".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit, such as 90s, 15m, 12h or 7d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

/// The preset of this name.
pub fn preset(name: &str) -> Result<Provider, Fault> {
    let found = provider::all().iter().find(|(known, _)| *known == name);
    found.map(|(_, preset)| preset.clone()).ok_or_else(|| Fault::NoProvider { name: name.to_owned() })
}

/// Name and value of a header.
pub fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), Fault> {
    let (name, value) = text.split_once(':').ok_or(Fault::MalformedHeader)?;
    let name = name.trim().parse().map_err(|_| Fault::MalformedHeader)?;
    Ok((name, value.trim().parse().map_err(|_| Fault::MalformedHeader)?))
}

/// The bytes of a file; `-` is the standard input.
pub fn read(path: &PathBuf) -> Result<Vec<u8>, Fault> {
    use std::io::Read;
    let read = |source| Fault::Read { path: path.clone(), source };
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(read)?;
        return Ok(bytes);
    }
    std::fs::read(path).map_err(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "7", "d", "-1d", "1.5h", "99999999999999999d", "1ü"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
