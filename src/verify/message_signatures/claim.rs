//! What one signature says of itself.

use std::time::{Duration, SystemTime};

use super::{
    component::Component,
    structured::{Fault, InnerList},
};
use crate::rejection::Rejection;

/// A signature, and what it says it covers, when it was made and how.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) components: Vec<Component>,
    /// Components and parameters in the form that is signed. The nonce is in it.
    pub(super) parameters: String,
    pub(super) nonce: Option<String>,
    pub(super) created: SystemTime,
    expires: Option<SystemTime>,
    pub(super) algorithm: Option<String>,
    pub(super) signature: Vec<u8>,
}

impl Claim {
    pub(super) fn read(input: &InnerList, signature: Vec<u8>) -> Result<Self, Fault> {
        let components =
            input.items.iter().map(Component::read).collect::<Result<Vec<Component>, Fault>>()?;
        let is_repeated = |(at, component): (usize, &Component)| components[..at].contains(component);
        if components.iter().enumerate().any(is_repeated) {
            return Err("it covers a component twice");
        }
        let time = |name: &str| -> Result<Option<SystemTime>, Fault> {
            let Some(seconds) = input.parameters.integer(name)? else { return Ok(None) };
            let seconds = u64::try_from(seconds).map_err(|_| "its time lies before 1970")?;
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            time.map(Some).ok_or("its time is out of range")
        };
        let created = time("created")?.ok_or("it does not say when it was created")?;
        let expires = time("expires")?;
        if expires.is_some_and(|expires| expires < created) {
            return Err("it expires before it is created");
        }
        let nonce = input.parameters.text("nonce")?.map(str::to_owned);
        let algorithm = input.parameters.text("alg")?.map(str::to_owned);
        let mut parameters = String::new();
        input.write(&mut parameters);
        Ok(Self { components, parameters, nonce, created, expires, algorithm, signature })
    }

    /// Refuses a signature that its own maker takes for too old by now.
    pub(super) fn check_expiry(&self, now: SystemTime) -> Result<(), Rejection> {
        let Some(expires) = self.expires.filter(|expires| now > *expires) else { return Ok(()) };
        let since = |later: SystemTime| later.duration_since(self.created).unwrap_or_default();
        Err(Rejection::TimestampTooOld { age: since(now), tolerance: since(expires) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::message_signatures::structured::{Member, dictionary};

    fn read(input: &str) -> Result<Claim, Fault> {
        let members = dictionary(format!("sig1={input}").as_bytes()).unwrap();
        let Member::List(list) = &members[0].1 else { panic!("{input}") };
        Claim::read(list, Vec::new())
    }

    #[test]
    fn what_is_signed_keeps_the_order_that_the_sender_chose() {
        let input = r#"("@method" "date");nonce="n";keyid="k";created=7;expires=9;alg="ed25519";mine"#;
        let claim = read(input).unwrap();
        assert_eq!(claim.parameters, input);
        assert_eq!(claim.components, [Component::Method, Component::header("date").unwrap()]);
        assert_eq!(claim.algorithm.as_deref(), Some("ed25519"));
        assert_eq!(claim.created, SystemTime::UNIX_EPOCH + Duration::from_secs(7));
    }

    #[test]
    fn a_claim_that_contradicts_itself_or_lacks_its_time_is_refused() {
        for input in [
            "()",
            "();created",
            "();created=\"7\"",
            "();created=-7",
            "();created=7;expires=6",
            "();created=7;expires=x",
            "();created=7;nonce=n",
            "();created=7;alg=ed25519",
            r#"("date" "date");created=7"#,
            r#"("content-digest" "content-digest");created=7"#,
            r#"("@status");created=7"#,
            r#"("Date");created=7"#,
            "(date);created=7",
        ] {
            assert!(read(input).is_err(), "{input}");
        }
    }

    #[test]
    fn a_signature_expires_when_its_maker_says_so() {
        let claim = read("();created=100;expires=130").unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(claim.check_expiry(at(130)), Ok(()));
        let expected =
            Rejection::TimestampTooOld { age: Duration::from_secs(31), tolerance: Duration::from_secs(30) };
        assert_eq!(claim.check_expiry(at(131)), Err(expected));
        assert_eq!(read("();created=100").unwrap().check_expiry(at(9_999)), Ok(()));
    }
}
