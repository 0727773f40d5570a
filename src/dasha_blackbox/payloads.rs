//! The payload of each type.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    category::ErrorCategory,
    fields::{items, or_default, seconds, time},
};

/// A payload with the fields that all of them have, and those of its own.
///
/// The fields are repeated and not nested: serde reads what it flattens from a copy, and an error in there would not tell where
/// it is.
macro_rules! payload {
    ($(#[$docs:meta])* $name:ident { $($(#[$field_docs:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$docs])*
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            /// The type's name, in the one envelope: `CompletedWebHookPayload`.
            #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
            pub kind: Option<String>,
            /// The type's name, in the other envelope: `call.completed`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub event_type: Option<String>,
            /// When it was sent, in the other envelope and in a tool's request.
            #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
            pub timestamp: Option<SystemTime>,
            /// Where the call stands: `Queued`, `Running`, `Completed`, `Failed`, `Canceled`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub status: Option<String>,
            /// The call's id.
            pub call_id: String,
            /// The id of the agent that speaks.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub agent_id: Option<String>,
            /// The id of the organization that the agent belongs to.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub org_id: Option<String>,
            /// The other party's number (E.164): `+15550100`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub endpoint: Option<String>,
            /// What the caller gave along with the call.
            #[serde(default, deserialize_with = "or_default")]
            pub call_additional_data: Map<String, Value>,
            /// What the agent was given along.
            #[serde(default, deserialize_with = "or_default")]
            pub agent_additional_data: Map<String, Value>,
            $($(#[$field_docs])* pub $field: $type,)*
            /// All fields that are not known here, as they came.
            #[serde(flatten)]
            pub extra: Map<String, Value>,
        }

        /// Which call it is about, and nothing that was said in it.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("call_id", &self.call_id)
                    .field("agent_id", &self.agent_id)
                    .field("status", &self.status)
                    .finish_non_exhaustive()
            }
        }
    };
}

payload! {
    /// Before a call: an outgoing one is about to be made, or an incoming one has arrived. The answer,
    /// [`StartAnswer`](super::StartAnswer), decides whether it is taken.
    StartWebHookPayload {
        /// Who calls whom, where the call comes over SIP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sip: Option<Sip>,
        /// The agent's settings as they are without an answer that changes them.
        #[serde(default, deserialize_with = "or_default")]
        original_agent_config: Map<String, Value>,
    }
}

payload! {
    /// A call has ended well.
    CompletedWebHookPayload {
        /// What kind of call it was: `OutboundAudio`, say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_type: Option<String>,
        /// When it was ordered.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        created_time: Option<SystemTime>,
        /// When it ended.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        completed_time: Option<SystemTime>,
        /// How long it was, in seconds.
        #[serde(rename = "durationSeconds", default, with = "seconds", skip_serializing_if = "Option::is_none")]
        duration: Option<Duration>,
        /// Where a person can look at it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inspector_url: Option<String>,
        /// Where its recording is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recording_url: Option<String>,
        /// What came of it.
        #[serde(default, deserialize_with = "or_default")]
        result: CallResult,
        /// What was said, in its order.
        #[serde(default, deserialize_with = "items")]
        transcription: Vec<Utterance>,
    }
}

payload! {
    /// A call could not be made, or broke off.
    FailedWebHookPayload {
        /// What kind of call it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_type: Option<String>,
        /// When it was ordered.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        created_time: Option<SystemTime>,
        /// When it was given up.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        completed_time: Option<SystemTime>,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_message: Option<String>,
        /// Where a person can look at it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inspector_url: Option<String>,
    }
}

payload! {
    /// A call that was to be made later is cancelled, because its time has passed.
    CallDeadLineWebHookPayload {
        /// What kind of call it would have been.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_type: Option<String>,
        /// When it was ordered.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        created_time: Option<SystemTime>,
        /// When it was cancelled.
        #[serde(default, with = "time", skip_serializing_if = "Option::is_none")]
        completed_time: Option<SystemTime>,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_message: Option<String>,
    }
}

payload! {
    /// The agent asks where to transfer a call. Its own fields are not documented: they are in `extra`.
    TransferWebHookPayload {}
}

payload! {
    /// The agent calls a tool; the answer, [`ToolAnswer`](super::ToolAnswer), goes into the conversation.
    ///
    /// Both forms are read: that of an event, with `type` and `arguments`, and that of a tool's request, with `toolArguments`
    /// and `timestamp`.
    ToolWebHookPayload {
        /// The tool's name.
        tool_name: String,
        /// What it is called with, in an event; see [`called_with`](Self::called_with).
        #[serde(default, skip_serializing_if = "Value::is_null")]
        arguments: Value,
        /// The same in a tool's request.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        tool_arguments: Value,
    }
}

impl FailedWebHookPayload {
    /// The category of the failure, where one is named.
    ///
    /// The documentation lists the categories and not the field that they stand in. They are looked for in `errorCategory` and
    /// `errorCode`, and as a word of `errorMessage`: *assumed*.
    pub fn category(&self) -> Option<ErrorCategory> {
        let field = |name| self.extra.get(name).and_then(Value::as_str).and_then(ErrorCategory::of_name);
        let in_words = || self.error_message.as_deref().and_then(ErrorCategory::named_in);
        field("errorCategory").or_else(|| field("errorCode")).or_else(in_words)
    }
}

impl ToolWebHookPayload {
    /// What it is called with, in whichever form it came.
    pub fn called_with(&self) -> &Value {
        if self.arguments.is_null() { &self.tool_arguments } else { &self.arguments }
    }

    /// What it is called with, as a type.
    ///
    /// # Errors
    ///
    /// When the arguments do not fit the type. What was said in the call is in them, and may be in the error.
    pub fn arguments_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(self.called_with())
    }
}

/// Who calls whom, over SIP.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Sip {
    /// The caller's user or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_user: Option<String>,
    /// The caller's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_domain: Option<String>,
    /// The user or number that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_user: Option<String>,
    /// Its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_domain: Option<String>,
    /// All fields that are not known here, as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What came of a call.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CallResult {
    /// Who ended it, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Whether it did what it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whatever the agent is set to find out afterwards.
    pub post_call_analysis: Value,
    /// Transfers, whose form is not documented.
    pub transfer_information: Value,
    /// All fields that are not known here, as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Something that was said.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Utterance {
    /// Who said it: `assistant` or `user`.
    #[serde(deserialize_with = "or_default")]
    pub speaker: String,
    /// What was said.
    #[serde(deserialize_with = "or_default")]
    pub text: String,
    /// When it began.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub start_time: Option<SystemTime>,
    /// When it ended.
    #[serde(with = "time", skip_serializing_if = "Option::is_none")]
    pub end_time: Option<SystemTime>,
    /// All fields that are not known here, as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Nothing of it: it names people.
impl fmt::Debug for Sip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sip").finish_non_exhaustive()
    }
}

/// How it ended, and not what was found out.
impl fmt::Debug for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallResult")
            .field("finish_reason", &self.finish_reason)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Who spoke, and not what was said.
impl fmt::Debug for Utterance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Utterance").field("speaker", &self.speaker).finish_non_exhaustive()
    }
}
