//! Several keys at once, so that one can follow another without a gap.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{
    mac::Keyed,
    public_key::VerifyingKey,
    scheme::{Kind, Scheme},
    secret::SigningSecret,
};
use crate::error::ConfigError;

/// A signing secret, or a public key, with a name and a time during which it is valid.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::{SigningSecret, verify::{Key, KeyRing}};
///
/// # fn main() -> Result<(), tower_webhook::ConfigError> {
/// let in_a_day = SystemTime::now() + Duration::from_secs(24 * 3600);
/// let ring = KeyRing::of(Key::new(SigningSecret::from_text("the new one")?).id("2026-11"))
///     .with(Key::new(SigningSecret::from_text("the old one")?).id("2026-05").not_after(in_a_day));
/// // Later: has anybody used the old one?
/// for (id, matches) in ring.matches() {
///     println!("{id:?}: {matches}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Key {
    secret: SigningSecret,
    id: Option<Arc<str>>,
    not_before: Option<SystemTime>,
    not_after: Option<SystemTime>,
    matches: Arc<AtomicU64>,
}

impl Key {
    /// A key that is always valid.
    pub fn new(secret: SigningSecret) -> Self {
        Self { secret, id: None, not_before: None, not_after: None, matches: Arc::default() }
    }

    /// Its name in logs, in [`Delivery::key_id`](crate::Delivery::key_id) and in [`KeyRing::matches`].
    #[must_use]
    pub fn id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Valid from then on.
    #[must_use]
    pub const fn not_before(mut self, time: SystemTime) -> Self {
        self.not_before = Some(time);
        self
    }

    /// Valid until then, that moment included.
    #[must_use]
    pub const fn not_after(mut self, time: SystemTime) -> Self {
        self.not_after = Some(time);
        self
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|start| now >= start) && self.not_after.is_none_or(|end| now <= end)
    }

    pub(super) fn count_match(&self) {
        self.matches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn matches(&self) -> u64 {
        self.matches.load(Ordering::Relaxed)
    }
}

/// Keys of which any valid one may have signed. Clones count matches together.
#[derive(Debug, Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    /// One secret, always valid.
    pub fn new(secret: SigningSecret) -> Self {
        Self::of(Key::new(secret))
    }

    /// One key.
    pub fn of(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// The same with another secret, always valid.
    #[must_use]
    pub fn and(self, secret: SigningSecret) -> Self {
        self.with(Key::new(secret))
    }

    /// The same with another key.
    #[must_use]
    pub fn with(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// How many deliveries each key has verified, by its id: an old key that stays at its number is no longer used.
    pub fn matches(&self) -> Vec<(Option<Arc<str>>, u64)> {
        self.keys.iter().map(|key| (key.id.clone(), key.matches())).collect()
    }

    /// The keys in the form that a scheme needs, with everything computed that can be before a delivery comes.
    pub(super) fn bind(&self, scheme: &Scheme) -> Result<BoundRing, ConfigError> {
        let keys = self.keys.iter().map(|key| {
            let material = match &scheme.0 {
                Kind::Hmac(scheme) => {
                    let bytes = key.secret.key(&scheme.key)?;
                    Keyed::new(scheme.algorithm, &bytes).map(Box::new).map(Material::Mac)
                }
                Kind::PublicKey(scheme) => {
                    let public = VerifyingKey::new(scheme.algorithm, &key.secret)?;
                    Some(Material::Public(Arc::new(public)))
                }
                Kind::Composed(scheme) => {
                    let bytes = key.secret.key(&scheme.hmac.key)?;
                    scheme.keyed(&bytes).map(Box::new).map(Material::Mac)
                }
                Kind::Code(code) => return Err(code.missing("the provider")),
                Kind::Token(_) | Kind::BodyToken(_) => {
                    Some(Material::Token(Sha256::digest(key.secret.as_given()).into()))
                }
            };
            let malformed = || ConfigError::MalformedSecret {
                source_name: key.secret.source_name().to_owned(),
                expected: "a key that the scheme takes",
            };
            Ok(BoundKey { material: material.ok_or_else(malformed)?, key: key.clone() })
        });
        Ok(BoundRing { keys: keys.collect::<Result<_, ConfigError>>()?, ring: self.clone() })
    }
}

/// Keys ready for one scheme.
pub(super) struct BoundRing {
    keys: Vec<BoundKey>,
    pub(super) ring: KeyRing,
}

struct BoundKey {
    material: Material,
    key: Key,
}

#[derive(Clone)]
enum Material {
    Mac(Box<Keyed>),
    Public(Arc<VerifyingKey>),
    Token([u8; 32]),
}

impl fmt::Debug for BoundRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|bound| &bound.key)).finish()
    }
}

impl BoundRing {
    fn valid(&self, now: SystemTime) -> impl Iterator<Item = &BoundKey> {
        self.keys.iter().filter(move |bound| bound.key.is_valid(now))
    }

    /// Each valid key as a ring of its own, whose matches nobody counts.
    pub(super) fn each_alone(&self, now: SystemTime) -> impl Iterator<Item = Self> {
        self.valid(now).map(|bound| {
            let key = Key { matches: Arc::default(), ..bound.key.clone() };
            let ring = KeyRing::of(key.clone());
            Self { keys: vec![BoundKey { material: bound.material.clone(), key }], ring }
        })
    }

    /// The HMAC-SHA256 under the first valid key; `None` where there is none, or keys are no such keys.
    pub(super) fn sign(&self, now: SystemTime, content: &[u8]) -> Option<[u8; 32]> {
        let first = self.valid(now).next()?;
        match &first.material {
            Material::Mac(keyed) => keyed.mac(|take| take(content)).first_chunk().copied(),
            Material::Public(_) | Material::Token(_) => None,
        }
    }

    /// The id of the first valid key that `fits`, or how many valid keys there were.
    fn find(&self, now: SystemTime, fits: impl Fn(&Material) -> bool) -> Result<Option<Arc<str>>, usize> {
        let mut tried = 0;
        for bound in self.valid(now) {
            tried += 1;
            if fits(&bound.material) {
                bound.key.count_match();
                return Ok(bound.key.id.clone());
            }
        }
        Err(tried)
    }

    /// Finds the key whose MAC `fits`.
    pub(super) fn find_mac(
        &self,
        now: SystemTime,
        fits: impl Fn(&Keyed) -> bool,
    ) -> Result<Option<Arc<str>>, usize> {
        self.find(now, |material| matches!(material, Material::Mac(keyed) if fits(keyed)))
    }

    /// Finds the public key that `fits`.
    pub(super) fn find_public_key(
        &self,
        now: SystemTime,
        fits: impl Fn(&VerifyingKey) -> bool,
    ) -> Result<Option<Arc<str>>, usize> {
        self.find(now, |material| matches!(material, Material::Public(key) if fits(key)))
    }

    /// Finds the key that is this token. Digests are compared, so not even the length shows in the time.
    pub(super) fn find_token(&self, now: SystemTime, given: &[u8]) -> Result<Option<Arc<str>>, usize> {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.find(now, |material| match material {
            Material::Token(token) => token.ct_eq(&given).into(),
            Material::Mac(_) | Material::Public(_) => false,
        })
    }
}

/// A header that must hold a secret besides the signature.
#[derive(Clone)]
pub(super) struct StaticHeader {
    pub(super) name: http::HeaderName,
    value: [u8; 32],
}

impl fmt::Debug for StaticHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StaticHeader").field(&self.name).finish()
    }
}

impl StaticHeader {
    pub(super) fn new(name: http::HeaderName, value: &SigningSecret) -> Self {
        Self { name, value: Sha256::digest(value.as_given()).into() }
    }

    pub(super) fn holds(&self, given: &[u8]) -> Choice {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.value.ct_eq(&given)
    }
}
