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

/// A list that is missing or `null`, and items that are: as if they were not there.
pub(super) fn items<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let items: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(items.unwrap_or_default().into_iter().flatten().collect())
}

/// A time of day as RFC 3339 writes it. What is no such time is as if it were missing: a delivery is worth more than a field.
pub(super) mod time {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, ser::Error as _};
    use serde_json::Value;

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<SystemTime>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let given = Option::<Value>::deserialize(deserializer)?;
        let time = given.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        Ok(time.map(Into::into))
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

/// A duration in seconds, whole or not, as a number or as text. Anything else is as if it were missing.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::Value;

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let given = Option::<Value>::deserialize(deserializer)?;
        let seconds = match given {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
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
