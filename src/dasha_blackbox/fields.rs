//! How single fields are written.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// A field that is missing or `null`: the same.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A time of day as RFC 3339 writes it.
pub(super) mod time {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<SystemTime>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let time: Timestamp = text.parse().map_err(|_| {
            // The text stays out of it: an error may be logged.
            D::Error::invalid_value(serde::de::Unexpected::Str(".."), &"a time as RFC 3339 writes it")
        })?;
        Ok(Some(time.into()))
    }

    pub(crate) fn serialize<S>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        match time {
            Some(time) => {
                let time = Timestamp::try_from(*time).map_err(S::Error::custom)?;
                serializer.collect_str(&time)
            }
            None => serializer.serialize_none(),
        }
    }
}

/// A duration in seconds, whole or not.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let Some(seconds) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| {
            D::Error::invalid_value(serde::de::Unexpected::Other(".."), &"a number of seconds from 0")
        })?;
        Ok(Some(duration))
    }

    pub(crate) fn serialize<S>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        match duration {
            Some(duration) if duration.subsec_nanos() == 0 => serializer.serialize_u64(duration.as_secs()),
            Some(duration) => serializer.serialize_f64(duration.as_secs_f64()),
            None => serializer.serialize_none(),
        }
    }
}
