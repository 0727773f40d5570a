//! Signature headers: reading them, and comparing what they hold in constant time.

use std::{borrow::Cow, ops::RangeInclusive};

use subtle::{Choice, ConstantTimeEq};

use super::{
    encoding::{Encoding, LONGEST},
    mac::Algorithm,
};
use crate::{defaults, rejection::Rejection};

/// What stands around the signature in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureForm {
    /// One signature and nothing else.
    Bare,
    /// One signature behind a prefix such as `sha256=`, which must be there.
    Prefixed(Cow<'static, str>),
    /// One signature behind a prefix that may be missing.
    MaybePrefixed(Cow<'static, str>),
    /// Several, divided by spaces, each behind its version and a comma: `v1,… v1,… v1a,…`. Those of other versions
    /// are ignored.
    Versions(Cow<'static, str>),
    /// A list of `name=value`: `t=…,v1=…,v1=…`. Names that the scheme does not know are ignored.
    Fields {
        /// Stands between two fields: `,` or `;`.
        separator: char,
        /// The name of a signature's field.
        signature: Cow<'static, str>,
        /// The name of the timestamp's field, where the timestamp is here.
        timestamp: Option<Cow<'static, str>>,
    },
}

/// The signatures of one header, decoded. One, as outside of a rotation, is kept without an allocation; this is part of every
/// request's future, which must stay small.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    first: Option<[u8; LONGEST]>,
    more: Vec<[u8; LONGEST]>,
}

impl Signatures {
    fn push(&mut self, signature: [u8; LONGEST]) {
        if self.first.is_none() {
            self.first = Some(signature);
        } else {
            self.more.push(signature);
        }
    }

    /// Whether any of them is this MAC. Every one is compared whole, whatever the others were.
    pub(super) fn contain(&self, mac: &[u8; LONGEST], length: usize) -> bool {
        let all = self.first.iter().chain(&self.more);
        let found =
            all.fold(Choice::from(0), |found, given| found | matches(&mac[..length], &given[..length]));
        found.into()
    }
}

/// Whether two MACs are the same, in a time that depends on nothing but their length.
pub(super) fn matches(mac: &[u8], given: &[u8]) -> Choice {
    let equal_length = mac.len().ct_eq(&given.len());
    // Words, because each comparison is kept from the optimizer by itself.
    let (mac, mac_rest) = mac.as_chunks::<8>();
    let (given, given_rest) = given.as_chunks::<8>();
    let words = mac.iter().zip(given).fold(equal_length, |equal, (one, other)| {
        equal & u64::from_ne_bytes(*one).ct_eq(&u64::from_ne_bytes(*other))
    });
    words & mac_rest.ct_eq(given_rest)
}

impl SignatureForm {
    /// The signatures in `header`; at least one is well-formed.
    pub(super) fn read(
        &self,
        header: &str,
        algorithm: Algorithm,
        encoding: Encoding,
    ) -> Result<Signatures, Rejection> {
        let mut signatures = Signatures::default();
        let mut count = 0;
        self.each(header, |text| {
            count += 1;
            if count <= defaults::SIGNATURES_TRIED
                && let Some(signature) = encoding.decode(text.as_bytes(), algorithm.length())
            {
                signatures.push(signature);
            }
        })?;
        if count > defaults::SIGNATURES_TRIED {
            return Err(Rejection::TooManySignatures { count, limit: defaults::SIGNATURES_TRIED });
        }
        if signatures.first.is_none() {
            let fault =
                if count == 0 { "it holds none of this version" } else { "not a MAC in the right encoding" };
            return Err(Rejection::SignatureMalformed { fault });
        }
        Ok(signatures)
    }

    /// The same for signatures of a private key, which are as long as `lengths` says.
    pub(super) fn read_public(
        &self,
        header: &str,
        lengths: RangeInclusive<usize>,
        encoding: Encoding,
    ) -> Result<Vec<Vec<u8>>, Rejection> {
        let mut signatures = Vec::new();
        let mut count = 0;
        self.each(header, |text| {
            count += 1;
            if count <= defaults::PUBLIC_KEY_SIGNATURES_TRIED {
                signatures.extend(encoding.decode_any(text.as_bytes(), &lengths));
            }
        })?;
        if count > defaults::PUBLIC_KEY_SIGNATURES_TRIED {
            return Err(Rejection::TooManySignatures { count, limit: defaults::PUBLIC_KEY_SIGNATURES_TRIED });
        }
        if signatures.is_empty() {
            let fault = if count == 0 {
                "it holds none of this version"
            } else {
                "not a signature of its algorithm's length in the right encoding"
            };
            return Err(Rejection::SignatureMalformed { fault });
        }
        Ok(signatures)
    }

    /// Hands over the text of each signature in `header`.
    #[inline]
    fn each<'h>(&'h self, header: &'h str, mut take: impl FnMut(&'h str)) -> Result<(), Rejection> {
        match self {
            Self::Bare => take(header),
            Self::Prefixed(prefix) => {
                let fault = "its prefix is missing";
                take(header.strip_prefix(&**prefix).ok_or(Rejection::SignatureMalformed { fault })?);
            }
            Self::MaybePrefixed(prefix) => take(header.strip_prefix(&**prefix).unwrap_or(header)),
            Self::Versions(version) => versions(header, version).for_each(take),
            Self::Fields { separator, signature, .. } => fields(header, *separator, signature).for_each(take),
        }
        Ok(())
    }

    /// The timestamp among the fields of `header`. Two of them are refused: one reader would take the first, and
    /// another one the last.
    pub(super) fn timestamp<'h>(&self, header: &'h str) -> Result<&'h str, Rejection> {
        let Self::Fields { separator, timestamp: Some(name), .. } = self else {
            return Err(Rejection::TimestampMalformed { fault: "the scheme has no field for it" });
        };
        let mut found = fields(header, *separator, name);
        let first = found.next().ok_or(Rejection::TimestampMalformed { fault: "it is missing" })?;
        match found.next() {
            None => Ok(first),
            Some(_) => Err(Rejection::TimestampMalformed { fault: "it is there twice" }),
        }
    }

    /// The header that holds this one signature.
    pub(super) fn write(&self, signature: &str, at: &str) -> String {
        match self {
            Self::Bare => signature.to_owned(),
            Self::Prefixed(prefix) | Self::MaybePrefixed(prefix) => format!("{prefix}{signature}"),
            Self::Versions(version) => format!("{version},{signature}"),
            Self::Fields { separator, signature: name, timestamp: Some(time) } => {
                format!("{time}={at}{separator}{name}={signature}")
            }
            Self::Fields { signature: name, timestamp: None, .. } => format!("{name}={signature}"),
        }
    }
}

fn versions<'h>(header: &'h str, version: &'h str) -> impl Iterator<Item = &'h str> {
    header.split(' ').filter_map(move |entry| entry.strip_prefix(version)?.strip_prefix(','))
}

fn fields<'h>(header: &'h str, separator: char, name: &str) -> impl Iterator<Item = &'h str> {
    header.split(separator).filter_map(move |field| field.trim_ascii().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSIONS: SignatureForm = SignatureForm::Versions(Cow::Borrowed("v1"));
    const FIELDS: SignatureForm = SignatureForm::Fields {
        separator: ',',
        signature: Cow::Borrowed("v1"),
        timestamp: Some(Cow::Borrowed("t")),
    };

    fn read(form: &SignatureForm, header: &str, encoding: Encoding) -> Result<Signatures, Rejection> {
        form.read(header, Algorithm::HmacSha256, encoding)
    }

    fn mac(byte: u8) -> [u8; LONGEST] {
        let mut mac = [0; LONGEST];
        mac[..32].fill(byte);
        mac
    }

    #[test]
    fn equal_means_equal_in_every_byte() {
        let whole = mac(7);
        for at in 0..=32 {
            let mut other = whole;
            if at < 32 {
                other[at] ^= 1;
            }
            let signatures = Signatures { first: Some(other), ..Signatures::default() };
            assert_eq!(signatures.contain(&whole, 32), at == 32, "{at}");
        }
        assert!(!Signatures::default().contain(&whole, 32));
    }

    #[test]
    fn up_to_sixteen_are_tried_and_more_are_refused() {
        let (good, bad) = (Encoding::Base64.encode(&[7; 32]), Encoding::Base64.encode(&[8; 32]));
        let header = |bad_ones: usize, good_last: bool| {
            let mut entries = vec![format!("v1,{bad}"); bad_ones];
            entries.insert(if good_last { bad_ones } else { 0 }, format!("v1,{good}"));
            entries.join(" ")
        };
        for good_last in [false, true] {
            for bad_ones in [0, 1, 15] {
                let signatures = read(&VERSIONS, &header(bad_ones, good_last), Encoding::Base64).unwrap();
                assert!(signatures.contain(&mac(7), 32));
                assert!(!signatures.contain(&mac(9), 32));
            }
            for bad_ones in [16, 9_999] {
                let outcome = read(&VERSIONS, &header(bad_ones, good_last), Encoding::Base64);
                let expected = Rejection::TooManySignatures { count: bad_ones + 1, limit: 16 };
                assert_eq!(outcome.unwrap_err(), expected);
            }
        }
        assert!(matches!(read(&VERSIONS, "", Encoding::Base64), Err(Rejection::SignatureMalformed { .. })));
    }

    #[test]
    fn other_versions_and_names_are_ignored_and_do_not_count() {
        let good = Encoding::Hex.encode(&[7; 32]);
        let many = "v0=00,".repeat(1_000);
        let signatures = read(&FIELDS, &format!("{many}t=1,x,v1={good},v2={good}"), Encoding::Hex).unwrap();
        assert!(signatures.contain(&mac(7), 32));
        for downgraded in [format!("t=1,v0={good}"), format!("t=1,v11={good}"), format!("t=1,v1 ={good}")] {
            assert!(read(&FIELDS, &downgraded, Encoding::Hex).is_err(), "{downgraded}");
        }
        let good = Encoding::Base64.encode(&[7; 32]);
        for downgraded in [format!("v1a,{good}"), format!("v2,{good}"), good.clone(), format!("v1, {good}")] {
            assert!(read(&VERSIONS, &downgraded, Encoding::Base64).is_err(), "{downgraded}");
        }
    }

    #[test]
    fn two_timestamps_are_refused() {
        assert_eq!(FIELDS.timestamp("t=1,v1=00").unwrap(), "1");
        assert!(FIELDS.timestamp("t=1,t=2,v1=00").is_err());
        assert!(FIELDS.timestamp("v1=00").is_err());
        assert!(VERSIONS.timestamp("t=1").is_err());
    }

    #[test]
    fn a_prefix_is_needed_only_where_the_form_says_so() {
        let hex = "07".repeat(32);
        let prefixed = format!("sha256={hex}");
        let must = SignatureForm::Prefixed(Cow::Borrowed("sha256="));
        let may = SignatureForm::MaybePrefixed(Cow::Borrowed("sha256="));
        assert!(read(&must, &prefixed, Encoding::Hex).is_ok());
        assert!(read(&must, &hex, Encoding::Hex).is_err());
        assert!(read(&may, &prefixed, Encoding::Hex).is_ok());
        assert!(read(&may, &hex, Encoding::Hex).is_ok());
        assert!(read(&may, &format!("sha1={hex}"), Encoding::Hex).is_err());
        assert!(read(&SignatureForm::Bare, &prefixed, Encoding::Hex).is_err());
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "\\PC{0,200}|[tv01=,; a-f]{0,200}") {
            for form in [VERSIONS, FIELDS, SignatureForm::Bare, SignatureForm::Prefixed("v1=".into())] {
                for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                    let _ = read(&form, &header, encoding);
                }
                let _ = form.timestamp(&header);
            }
        }

        #[test]
        fn what_is_written_is_read(bytes in any::<[u8; 32]>()) {
            let text = Encoding::Base64.encode(&bytes);
            for form in [VERSIONS, FIELDS, SignatureForm::Bare, SignatureForm::MaybePrefixed("v1=".into())] {
                let header = form.write(&text, "17");
                let mut mac = [0; LONGEST];
                mac[..32].copy_from_slice(&bytes);
                prop_assert!(read(&form, &header, Encoding::Base64).unwrap().contain(&mac, 32));
            }
        }
    }
}
