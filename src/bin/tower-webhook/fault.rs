//! What keeps the tool from finding out.

use std::{error::Error, io, path::PathBuf};

use tower_webhook::{ConfigError, sender::SendError, store::StoreError, test_util::CaptureError};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no provider {name:?}: `tower-webhook providers` lists them")]
    NoProvider { name: String },
    #[error("no secret: name one with --secret-env VARIABLE or --secret-file FILE")]
    NoSecret,
    #[error(transparent)]
    Config(ConfigError),
    #[error("{provider} signs the full URL: give the address that it sends to with --public-url")]
    NoPublicUrl { provider: String },
    #[error(
        "{provider} is verified by certificates or key sets that are fetched, and not by a secret: this tool can do nothing \
         with it"
    )]
    NeedsVerifier { provider: String },
    #[error("{needed_for} are not built in: install the tool with `--features cli,{feature}`")]
    FeatureMissing { feature: &'static str, needed_for: &'static str },
    #[error("it could not be judged")]
    NotJudged(#[source] Box<Fault>),
    #[error("{path:?} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the capture is no request")]
    Capture(#[from] CaptureError),
    #[error("{text:?} is no {what}")]
    Malformed { text: String, what: &'static str },
    #[error("a --header is not written as `Name: value`; its text may be a secret and is not shown")]
    MalformedHeader,
    #[error("nothing could be sent")]
    Send(#[from] SendError),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("no store: name one with --store or TOWER_WEBHOOK_STORE")]
    NoStore,
    #[error("the store is not named as sqlite:PATH or postgres:URL")]
    StoreForm,
    #[error("there is no inbox at {path:?}")]
    NoInbox { path: PathBuf },
    #[error("the store cannot be opened")]
    Open(#[source] Box<dyn Error + Send + Sync>),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    #[error("no runtime can be started")]
    Runtime(#[source] io::Error),
}

/// What can be done about a setting is done by an argument here, and not by a call.
impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::NoPublicUrl { provider } => Self::NoPublicUrl { provider },
            ConfigError::NeedsVerifier { provider, .. } => Self::NeedsVerifier { provider },
            ConfigError::FeatureMissing { feature, needed_for } => {
                Self::FeatureMissing { feature, needed_for }
            }
            ConfigError::InvalidPublicUrl { url } => Self::Malformed {
                text: without_userinfo(&url),
                what: "address: write http:// or https:// and a host, and no query",
            },
            other => Self::Config(other),
        }
    }
}

/// A URL, or what was meant to be one, without the user and the password that may stand before its host.
pub fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    // A password may hold a slash where the URL is malformed, so that it ends with the last of all @.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{host}"),
        None => url.to_owned(),
    }
}

impl Fault {
    /// What the tool ends with: 2 where the arguments are wrong, and 3 where something else keeps it from finding out.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoProvider { .. }
            | Self::NoSecret
            | Self::Malformed { .. }
            | Self::MalformedHeader
            | Self::NoStore
            | Self::StoreForm => 2,
            Self::NotJudged(fault) => fault.exit_code(),
            _ => 3,
        }
    }

    /// What happened, and what caused it.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user_and_password() {
        for (url, shown) in [
            ("https://host/in?a=1", "https://host/in?a=1"),
            ("https://user:pass@host:1/in", "https://host:1/in"),
            ("https://user:p/a@s#s@host/in", "https://host/in"),
            ("user:pass@host/in", "host/in"),
            ("", ""),
        ] {
            assert_eq!(without_userinfo(url), shown);
        }
    }
}
