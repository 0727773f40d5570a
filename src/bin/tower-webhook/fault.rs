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
    Config(#[from] ConfigError),
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

impl Fault {
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
