//! Each payload, read and written.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};
use tower_webhook::dasha_blackbox::{
    CompletedWebHookPayload, ErrorCategory, Event, FailedWebHookPayload, StartAnswer, ToolAnswer,
};

use super::{CANARY, COMPLETED, START, TOOL, TOOL_REQUEST, delivery, event};

/// 2026-03-01T08:00:00Z.
fn morning() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_772_352_000)
}

#[test]
fn a_start_tells_who_calls_and_keeps_what_is_not_known_here() {
    let Event::Start(start) = event(START) else { panic!("it is a Start") };
    assert_eq!((start.call_id.as_str(), start.status.as_deref()), ("c-17", Some("Queued")));
    assert_eq!((start.agent_id.as_deref(), start.org_id.as_deref()), (Some("a-3"), Some("o-1")));
    assert_eq!(start.call_additional_data["ticket"], 81);
    assert!(start.agent_additional_data.is_empty());
    let sip = start.sip.as_ref().unwrap();
    assert_eq!(
        (sip.from_user.as_deref(), sip.to_domain.as_deref()),
        (Some("+15550100"), Some("pbx.example"))
    );
    assert_eq!((&sip.extra["codec"], &start.extra["tomorrow"]), (&json!("opus"), &json!([1])));
    assert_eq!(start.original_agent_config["primaryLanguage"], "de-DE");
}

#[test]
fn a_completed_call_has_its_times_its_result_and_what_was_said() {
    let Event::Completed(completed) = event(COMPLETED) else { panic!("it is a Completed") };
    assert_eq!(completed.created_time, Some(morning()));
    assert_eq!(completed.completed_time, Some(morning() + Duration::from_millis(123_500)));
    assert_eq!(completed.duration, Some(Duration::from_millis(121_500)));
    assert_eq!(completed.result.finish_reason.as_deref(), Some("agent_hangup"));
    assert_eq!(completed.result.post_call_analysis["mood"], "calm");
    assert_eq!(
        (&completed.result.transfer_information, &completed.result.extra["cost"]),
        (&json!([]), &json!(3))
    );
    let [first, second] = completed.transcription.as_slice() else { panic!("two were") };
    assert_eq!(
        (first.speaker.as_str(), first.start_time),
        ("assistant", Some(morning() + Duration::from_secs(1)))
    );
    assert_eq!((second.text.as_str(), second.end_time), ("c4n4ry too", None));
}

#[test]
fn the_other_envelope_is_read_as_well() {
    let body = r#"{"eventType":"call.completed","timestamp":"2026-03-01T08:00:00Z","callId":"c-17","durationSeconds":9}"#;
    for of in [event(body), Event::of(&delivery(Some("call.completed"), body)).unwrap()] {
        let Event::Completed(completed) = of else { panic!("it is a Completed") };
        assert_eq!(completed.timestamp, Some(morning()));
        assert_eq!(completed.event_type.as_deref(), Some("call.completed"));
        assert_eq!(completed.duration, Some(Duration::from_secs(9)));
    }
    // Both at once, too.
    let both = r#"{"type":"FailedWebHookPayload","eventType":"call.failed","callId":"c-17"}"#;
    assert!(
        matches!(event(both), Event::Failed(failed) if failed.event_type.as_deref() == Some("call.failed"))
    );
}

#[test]
fn a_tool_is_called_in_either_form() {
    #[derive(serde::Deserialize)]
    struct Order {
        number: u32,
    }
    for body in [TOOL, TOOL_REQUEST] {
        let Event::Tool(tool) = event(body) else { panic!("it is a Tool: {body}") };
        assert_eq!((tool.tool_name.as_str(), tool.call_id.as_str()), ("find_order", "c-17"));
        assert_eq!(tool.arguments_as::<Order>().unwrap().number, 4711);
        assert!(tool.arguments_as::<Vec<u8>>().is_err());
    }
    let Event::Tool(request) = event(TOOL_REQUEST) else { panic!("it is a Tool") };
    assert_eq!(request.timestamp, Some(morning() + Duration::from_secs(60)));
}

#[test]
fn one_odd_field_costs_no_delivery() {
    let both = r#"{"type":"ToolWebHookPayload","callId":"c-17","toolName":"t","arguments":{"a":1},"toolArguments":{"a":1}}"#;
    let Event::Tool(tool) = event(both) else { panic!("it is a Tool") };
    assert_eq!(*tool.called_with(), json!({ "a": 1 }));
    let odd = r#"{"type":"CompletedWebHookPayload","callId":"c-17","completedTime":"","createdTime":"2026-03-01T08:00:00",
        "timestamp":1760974215,"durationSeconds":"312",
        "transcription":[{"speaker":null,"text":"a"},null,{"speaker":"user","text":null,"startTime":7}]}"#;
    let Event::Completed(completed) = event(odd) else { panic!("it is a Completed") };
    assert_eq!((completed.completed_time, completed.created_time, completed.timestamp), (None, None, None));
    assert_eq!(completed.duration, Some(Duration::from_secs(312)));
    let spoken: Vec<_> = completed.transcription.iter().map(|said| (&*said.speaker, &*said.text)).collect();
    assert_eq!(spoken, [("", "a"), ("user", "")]);
    let negative = r#"{"type":"CompletedWebHookPayload","callId":"c-17","durationSeconds":-1}"#;
    assert!(matches!(event(negative), Event::Completed(completed) if completed.duration.is_none()));
}

#[test]
fn the_other_types_are_read_with_their_own_fields() {
    let common = r#""callId":"c-17","callType":"OutboundAudio","createdTime":"2026-03-01T08:00:00Z""#;
    let failed = event(&format!(r#"{{"type":"FailedWebHookPayload",{common},"errorMessage":"gone"}}"#));
    let Event::Failed(failed) = failed else { panic!("it is a Failed") };
    assert_eq!((failed.error_message.as_deref(), failed.created_time), (Some("gone"), Some(morning())));
    let late = event(&format!(r#"{{"type":"CallDeadLineWebHookPayload",{common},"reasonMessage":"late"}}"#));
    assert!(matches!(late, Event::CallDeadLine(late) if late.reason_message.as_deref() == Some("late")));
    let transfer = event(&format!(r#"{{"type":"TransferWebHookPayload",{common},"to":"+15550199"}}"#));
    assert!(matches!(transfer, Event::Transfer(transfer) if transfer.extra["to"] == "+15550199"));
}

#[test]
fn a_failure_tells_whether_a_retry_is_worth_it_where_it_names_its_category() {
    let category = |fields: &str| {
        let body = format!(r#"{{"callId":"c-17",{fields}}}"#);
        serde_json::from_str::<FailedWebHookPayload>(&body).unwrap().category()
    };
    assert_eq!(category(r#""errorCategory":"BUSY""#), Some(ErrorCategory::Busy));
    assert_eq!(category(r#""errorCode":"INVALID_AGENT""#), Some(ErrorCategory::InvalidAgent));
    let declined = category(r#""errorMessage":"DECLINED: not today""#).unwrap();
    assert!(!declined.is_worth_a_retry() && ErrorCategory::NoAnswer.is_worth_a_retry());
    assert_eq!(category(r#""errorMessage":"it rang and rang""#), None);
}

#[test]
fn an_unknown_type_reaches_the_handler_whole() {
    for (body, event_type) in [
        (r#"{"type":"HoldWebHookPayload","callId":"c-17","x":1}"#, Some("HoldWebHookPayload")),
        (r#"{"eventType":"call.paused","callId":"c-17","x":1}"#, Some("call.paused")),
        (r#"{"callId":"c-17","x":1}"#, None),
        (r#"{"type":7,"callId":"c-17","x":1}"#, None),
    ] {
        for of in [event(body), Event::of(&delivery(event_type, body)).unwrap()] {
            assert_eq!(of.call_id(), Some("c-17"));
            let Event::Unknown(unknown) = of else { panic!("nobody knows it: {body}") };
            assert_eq!((unknown.event_type.as_deref(), &unknown.payload["x"]), (event_type, &json!(1)));
        }
    }
}

#[test]
fn the_type_that_verification_found_decides() {
    // Told by a header, where the body names none.
    let of = Event::of(&delivery(Some("CompletedWebHookPayload"), r#"{"callId":"c-17"}"#)).unwrap();
    assert!(matches!(of, Event::Completed(_)));
}

#[test]
fn nothing_is_missed_but_the_calls_id() {
    let bare = |event_type| format!(r#"{{"type":"{event_type}","callId":"c-17"}}"#);
    for event_type in ["Start", "Completed", "Failed", "CallDeadLine", "Transfer"] {
        let body = bare(format!("{event_type}WebHookPayload"));
        assert!(!matches!(event(&body), Event::Unknown(_)), "{body}");
        let without = body.replace("callId", "callid");
        let error = serde_json::from_str::<Event>(&without).unwrap_err().to_string();
        assert!(error.contains("callId"), "{error}");
    }
}

#[test]
fn an_error_tells_the_place_and_no_value() {
    let wrong = COMPLETED.replace("\"agent_hangup\"", r#"["c4n4ry"]"#);
    let of = Event::of(&delivery(Some("CompletedWebHookPayload"), &wrong)).unwrap_err();
    let of_type = delivery(None, &wrong).read_payload::<CompletedWebHookPayload>().unwrap_err();
    let by_serde = delivery(None, &wrong).read_payload::<Event>().unwrap_err();
    let listed = delivery(None, &format!("[{wrong}]")).read_payload::<Vec<Event>>().unwrap_err();
    for (error, path) in [
        (of, "result.finishReason"),
        (of_type, "result.finishReason"),
        (by_serde, "result.finishReason"),
        (listed, "[0].result.finishReason"),
    ] {
        assert_eq!(error.path(), path);
        assert!(error.fault().starts_with("expected a string"), "{error}");
        assert!(!error.to_string().contains(CANARY), "{error}");
    }
    let nameless = r#"{"type":"CompletedWebHookPayload","callId":["c4n4ry"]}"#;
    let error = delivery(None, nameless).read_payload::<Event>().unwrap_err();
    assert_eq!(error.path(), "callId");
    assert!(!error.to_string().contains(CANARY), "{error}");
}

#[test]
fn what_was_said_is_in_no_log() {
    let with_canaries = |body: &str| body.replace("+15550100", CANARY).replace("\"calm\"", "\"c4n4ry\"");
    let unknown = r#"{"type":"HoldWebHookPayload","said":"c4n4ry"}"#.to_owned();
    for body in [with_canaries(START), with_canaries(COMPLETED), with_canaries(TOOL), unknown] {
        let event = event(&body);
        let mut shown = format!("{event:?}");
        if let Event::Completed(completed) = &event {
            shown += &format!("{:?} {:?}", completed.result, completed.transcription);
        }
        if let Event::Start(start) = &event {
            shown += &format!("{:?}", start.sip);
        }
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn answers_are_written_as_they_are_read() {
    let written = |answer: &StartAnswer| serde_json::to_value(answer).unwrap();
    let accept = StartAnswer::accept().with_prompt("Be brief.").with("voice", "low");
    assert_eq!(written(&accept), json!({"accept": true, "customPrompt": "Be brief.", "voice": "low"}));
    assert_eq!(written(&StartAnswer::accept()), json!({"accept": true}));
    assert_eq!(written(&StartAnswer::reject("closed")), json!({"accept": false, "reasonMessage": "closed"}));
    let found = ToolAnswer::result(json!({"shipped": true})).unwrap().into_response::<bytes::Bytes>();
    assert_eq!(
        (found.headers()["content-type"].as_bytes(), &**found.body()),
        (&b"application/json"[..], &br#"{"shipped":true}"#[..])
    );
    let error = ToolAnswer::error("no such order", "UNKNOWN_ORDER").with("known", json!([1]));
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({"error": "no such order", "errorCode": "UNKNOWN_ORDER", "known": [1]})
    );
    assert_eq!(error.into_response::<bytes::Bytes>().status(), 200);
}

proptest! {
    #[test]
    fn what_is_read_is_written_with_all_that_is_not_known_here(
        call in "[a-z0-9-]{1,12}", seconds in 0_u32..100_000, name in "[a-z]{1,8}X", value in "\\PC{0,12}",
    ) {
        let mut body: Value = serde_json::from_str(COMPLETED).unwrap();
        body["callId"] = json!(call);
        body["durationSeconds"] = json!(seconds);
        body[&name] = json!(value);
        body["result"][&name] = json!({ "deep": value });
        let read: CompletedWebHookPayload = serde_json::from_value(body.clone()).unwrap();
        let mut written = serde_json::to_value(&read).unwrap();
        let again: CompletedWebHookPayload = serde_json::from_value(written.clone()).unwrap();
        prop_assert_eq!(&again, &read);
        // A time is written shorter, and a null left out.
        for field in ["createdTime", "completedTime", "transcription"] {
            written[field] = body[field].clone();
        }
        prop_assert_eq!(written, body);
    }

    #[test]
    fn no_body_panics(event_type in "(Start|Tool|Completed|Hold)WebHookPayload", body in "\\PC{0,64}") {
        let _ = Event::of(&delivery(Some(&event_type), &body));
        let _ = serde_json::from_str::<Event>(&body);
    }
}
