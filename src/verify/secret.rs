//! Key material that is never printed, and the forms in which providers hand it out.

use std::{borrow::Cow, fmt, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// Key material that signs or verifies.
///
/// It is wiped from memory when its last clone is dropped, and `Debug` shows only where it came from. An empty
/// secret cannot be made: anybody could sign with it. Text is taken exactly as the provider shows it, `whsec_`
/// included; the [`KeyForm`] of the provider's scheme says what it stands for.
#[derive(Clone)]
pub struct SigningSecret(Arc<Inner>);

struct Inner {
    material: Zeroizing<Vec<u8>>,
    is_text: bool,
    source_name: Cow<'static, str>,
}

/// How a provider's key text becomes key bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyForm {
    /// The text's own bytes, whatever prefix it has.
    Text,
    /// Base64 with its padding, behind a prefix that may be missing.
    Base64 {
        /// Such as `whsec_`.
        prefix: Cow<'static, str>,
    },
    /// Base64 with its padding behind this prefix. Text without the prefix is the key itself, also where it looks like base64.
    Base64OrText {
        /// Such as `whsec_`.
        prefix: Cow<'static, str>,
    },
    /// Hexadecimal digits.
    Hex,
}

impl KeyForm {
    /// Base64 behind an optional `whsec_`, as Standard Webhooks writes keys.
    pub const WHSEC: Self = Self::Base64 { prefix: Cow::Borrowed("whsec_") };

    const fn expected(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64OrText { .. } => "padded base64 behind its prefix, or text",
            Self::Base64 { .. } => "padded base64, with or without its prefix",
            Self::Hex => "hexadecimal digits",
        }
    }
}

impl SigningSecret {
    /// Key bytes as they are, whatever the provider's key form; 1 byte at least.
    ///
    /// # Errors
    ///
    /// [`ConfigError::EmptySecret`] when they are none, all blank, or `whsec_` alone.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        Self::new(Zeroizing::new(bytes.into()), false, Cow::Borrowed("bytes"))
    }

    /// Text exactly as the provider shows it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::EmptySecret`] when it is empty, blank, or `whsec_` alone.
    pub fn from_text(text: impl Into<String>) -> Result<Self, ConfigError> {
        Self::new(Zeroizing::new(text.into().into_bytes()), true, Cow::Borrowed("text"))
    }

    /// Text from an environment variable.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Environment`] when it is not set or not Unicode, and as [`from_text`](Self::from_text).
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        let value = std::env::var(name).map_err(|error| ConfigError::Environment {
            name: name.to_owned(),
            fault: match error {
                std::env::VarError::NotPresent => "not set",
                std::env::VarError::NotUnicode(_) => "not Unicode",
            },
        })?;
        let source_name = Cow::Owned(format!("the environment variable {name}"));
        Self::new(Zeroizing::new(value.into_bytes()), true, source_name)
    }

    /// Text from a file, without the newline at its end.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`] when it cannot be read, [`ConfigError::MalformedSecret`] when it is not UTF-8 (use
    /// [`from_bytes`](Self::from_bytes) for raw keys), and as [`from_text`](Self::from_text).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let content = std::fs::read(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })
            .map(Zeroizing::new)?;
        let source_name = format!("the file {}", path.display());
        if std::str::from_utf8(&content).is_err() {
            return Err(ConfigError::MalformedSecret { source_name, expected: "UTF-8 text" });
        }
        let line = content.strip_suffix(b"\n").unwrap_or(&content);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Self::new(Zeroizing::new(line.to_vec()), true, Cow::Owned(source_name))
    }

    fn new(
        material: Zeroizing<Vec<u8>>,
        is_text: bool,
        source_name: Cow<'static, str>,
    ) -> Result<Self, ConfigError> {
        let rest = material.trim_ascii();
        let rest = rest.strip_prefix(b"whsec_").unwrap_or(rest);
        if rest.trim_ascii().is_empty() {
            return Err(ConfigError::EmptySecret { source_name: source_name.into_owned() });
        }
        Ok(Self(Arc::new(Inner { material, is_text, source_name })))
    }

    /// Where it came from; never the secret.
    pub fn source_name(&self) -> &str {
        &self.0.source_name
    }

    /// The bytes as they were given, for comparison with a static header.
    pub(super) fn as_given(&self) -> &[u8] {
        &self.0.material
    }

    /// The key bytes, where the provider hands text out in this form.
    pub(super) fn key(&self, form: &KeyForm) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let given = &self.0.material;
        if !self.0.is_text {
            return Ok(given.clone());
        }
        let key = match form {
            KeyForm::Text => Some(given.to_vec()),
            KeyForm::Base64 { prefix } => {
                STANDARD.decode(given.strip_prefix(prefix.as_bytes()).unwrap_or(given)).ok()
            }
            KeyForm::Base64OrText { prefix } => match given.strip_prefix(prefix.as_bytes()) {
                Some(text) => STANDARD.decode(text).ok(),
                None => Some(given.to_vec()),
            },
            KeyForm::Hex => hex::decode(given.as_slice()).ok(),
        };
        let source_name = self.0.source_name.clone().into_owned();
        let key = Zeroizing::new(key.ok_or(ConfigError::MalformedSecret {
            source_name: source_name.clone(),
            expected: form.expected(),
        })?);
        if key.is_empty() {
            return Err(ConfigError::EmptySecret { source_name });
        }
        Ok(key)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecret(.. from {})", self.0.source_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: [&str; 9] = ["", " ", "\t", "\n", " \r\n\t ", "whsec_", " whsec_ ", "whsec_\n", "whsec_   "];

    #[test]
    fn no_constructor_makes_an_empty_secret() {
        let path = std::env::temp_dir().join(format!("tower-webhook-secret-{}", std::process::id()));
        for text in EMPTY {
            let outcomes = [SigningSecret::from_text(text), SigningSecret::from_bytes(text.as_bytes()), {
                std::fs::write(&path, text).unwrap();
                SigningSecret::from_file(&path)
            }];
            for outcome in outcomes {
                assert!(matches!(outcome, Err(ConfigError::EmptySecret { .. })), "{text:?}: {outcome:?}");
            }
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_loses_its_trailing_newline_and_nothing_else() {
        let path = std::env::temp_dir().join(format!("tower-webhook-newline-{}", std::process::id()));
        for (content, expected) in
            [("key\n", "key"), ("key\r\n", "key"), ("key", "key"), ("key\n\n", "key\n"), (" key ", " key ")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(SigningSecret::from_file(&path).unwrap().as_given(), expected.as_bytes());
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(SigningSecret::from_file(&path), Err(ConfigError::MalformedSecret { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(SigningSecret::from_file(&path), Err(ConfigError::File { .. })));
    }

    #[test]
    fn a_missing_environment_variable_is_named() {
        let outcome = SigningSecret::from_env("TOWER_WEBHOOK_NOT_SET_ANYWHERE");
        assert!(
            matches!(outcome, Err(ConfigError::Environment { name, .. }) if name.contains("NOT_SET_ANYWHERE"))
        );
        let set = SigningSecret::from_env("CARGO_PKG_NAME").unwrap();
        assert_eq!(set.as_given(), b"tower-webhook");
        assert_eq!(set.source_name(), "the environment variable CARGO_PKG_NAME");
    }

    #[test]
    fn each_form_reads_its_own_text() {
        let text = |text| SigningSecret::from_text(text).unwrap();
        assert_eq!(**text("whsec_YWJj").key(&KeyForm::WHSEC).unwrap(), *b"abc");
        assert_eq!(**text("YWJj").key(&KeyForm::WHSEC).unwrap(), *b"abc");
        assert_eq!(**text("whsec_YWJj").key(&KeyForm::Text).unwrap(), *b"whsec_YWJj");
        assert_eq!(**text("616263").key(&KeyForm::Hex).unwrap(), *b"abc");
        assert_eq!(**SigningSecret::from_bytes(*b"!?").unwrap().key(&KeyForm::WHSEC).unwrap(), *b"!?");
        let either = KeyForm::Base64OrText { prefix: "whsec_".into() };
        assert_eq!(**text("whsec_YWJj").key(&either).unwrap(), *b"abc");
        assert_eq!(**text("YWJj").key(&either).unwrap(), *b"YWJj", "without the prefix it is text");
        for (wrong, form) in [
            ("whsec_YWJ", &either),
            ("whsec_YWJ", &KeyForm::WHSEC),
            ("not base64!", &KeyForm::WHSEC),
            ("abc", &KeyForm::Hex),
        ] {
            let outcome = text(wrong).key(form);
            assert!(matches!(outcome, Err(ConfigError::MalformedSecret { .. })), "{wrong}");
        }
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_secret() {
        let secret = SigningSecret::from_text("c4n4ry-not-base64").unwrap();
        let error = secret.key(&KeyForm::WHSEC).unwrap_err();
        for shown in [format!("{secret:?}"), format!("{error:?}"), error.to_string()] {
            assert!(!shown.contains("c4n4ry"), "{shown}");
        }
    }
}
