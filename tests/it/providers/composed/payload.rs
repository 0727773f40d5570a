//! What attackers could do where a signature covers little, and what the presets have against it.

use std::sync::Mutex;

use tower_webhook::store::MemoryClaims;

use super::*;

#[tokio::test]
async fn mailguns_token_is_the_signed_id_and_its_body_proves_nothing() {
    let body = |event: &str| json!({ "event-data": { "event": event } }).to_string();
    let signed = signed_by(&MAILGUN, request("/in", None, body("delivered")));
    let first = outcome(&stack(&MAILGUN), signed.clone()).await.unwrap();
    let id = first.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("tok_1", IdOrigin::Signed));
    assert_eq!((first.event_type(), first.signed_at()), (Some("delivered"), Some(now())));

    let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
    value["event-data"]["event"] = "complained".into();
    let changed = signed.clone().map(|_| Bytes::from(value.to_string()));
    let second = outcome(&stack(&MAILGUN), changed).await.unwrap();
    assert_eq!(second.id(), first.id(), "it is the same delivery with another payload");
    assert_ne!(second.fingerprint(), first.fingerprint());
}

#[tokio::test]
async fn another_event_under_a_captured_token_is_not_run() {
    let stack = Webhook::from(MAILGUN)
        .secret(secret(&MAILGUN))
        .clock(Arc::new(ManualClock::at(now())))
        .idempotent(MemoryClaims::default())
        .build()
        .unwrap();
    let run = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let run = Arc::clone(&run);
        service_fn(move |request: Request<Verified>| {
            run.lock().unwrap().push(request.body().delivery().event_type().map(str::to_owned));
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
        })
    };
    let service = stack.layer(handler);
    let signed = signed_by(&MAILGUN, request("/in", None, r#"{"event-data":{"event":"delivered"}}"#));
    let text = String::from_utf8(signed.body().to_vec()).unwrap();
    let changed = signed.clone().map(|_| Bytes::from(text.replace("delivered", "complained")));
    for request in [signed.clone(), changed, signed] {
        let response = service.clone().oneshot(request.map(Full::new)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(*run.lock().unwrap(), [Some("delivered".to_owned())]);
}

#[tokio::test]
async fn mailguns_timestamp_bounds_a_captured_signature() {
    let signed = signed_by(&MAILGUN, request("/in", None, "{}"));
    for (seconds, status) in [(900, None), (901, Some(401)), (-900, None), (-901, Some(503))] {
        let shift = Duration::from_secs(i64::unsigned_abs(seconds));
        let then = if seconds > 0 { now() + shift } else { now() - shift };
        let refused = outcome(&stack_at(&MAILGUN, then), signed.clone()).await.err();
        assert_eq!(refused.map(|(status, _)| status.as_u16()), status, "{seconds}");
    }
    // Nothing divides the two, and the boundary cannot be moved all the same.
    for (timestamp, token) in [("176000000", "0tok_1"), ("1", "760000000tok_1")] {
        let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
        value["signature"]["timestamp"] = timestamp.into();
        value["signature"]["token"] = token.into();
        let moved = signed.clone().map(|_| Bytes::from(value.to_string()));
        assert_eq!(cause(&stack(&MAILGUN), moved).await, "timestamp-too-old");
    }
}

#[tokio::test]
async fn a_signed_field_has_one_meaning_or_the_body_is_refused() {
    let signed = signed_by(&MAILGUN, request("/in", None, "{}"));
    let text = String::from_utf8(signed.body().to_vec()).unwrap();
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    for body in [
        format!("{text} x"),
        format!("[{text}]"),
        format!("{{{inner}}},{inner}}}}}"),
        text.replace("\"tok_1\"", "\"tok_1\",\"token\":\"tok_2\""),
        text.replace("\"tok_1\"", "[\"tok_1\"]"),
        text.replace("\"tok_1\"", "null"),
        text.replace("\"tok_1\"", "\"\""),
        String::new(),
    ] {
        let forged = signed.clone().map(|_| Bytes::from(body.clone()));
        assert!(outcome(&stack(&MAILGUN), forged).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn mailguns_routes_sign_fields_of_a_form_and_no_multipart_one_passes() {
    let stack = stack(&MAILGUN_ROUTES);
    let signed = signed_by(&MAILGUN_ROUTES, request("/in", Some(FORM), "sender=a%40b.test"));
    let delivery = outcome(&stack, signed.clone()).await.unwrap();
    let id = delivery.id().unwrap();
    assert_eq!((id.as_str(), id.origin()), ("tok_1", IdOrigin::Signed));
    assert_eq!(delivery.signed_at(), Some(now()));
    for added in ["&token=tok_1", "&tok%65n=tok_2", "&timestamp=1760000000", "&signature="] {
        let twice = signed.clone().map(|body| Bytes::from([&body[..], added.as_bytes()].concat()));
        assert_eq!(cause(&stack, twice).await, "body-unreadable", "{added}");
    }
    let mut multipart = signed.clone();
    multipart.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=x"));
    assert_eq!(cause(&stack, multipart).await, "body-unreadable");
    assert_eq!(cause(&stack, signed.map(|_| Bytes::from_static(b"sender=a"))).await, "field-missing");
}

#[tokio::test]
async fn every_item_of_adyens_must_be_well_signed() {
    let stack = stack(&ADYEN);
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1", "2", "3"])));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    let with = |value: &Value| signed.clone().map(|_| Bytes::from(value.to_string()));
    for at in 0..3 {
        let mut forged = value.clone();
        forged["notificationItems"][at]["NotificationRequestItem"]["amount"]["value"] = 1.into();
        assert_eq!(cause(&stack, with(&forged)).await, "signature-mismatch", "{at}");
        let mut unsigned = value.clone();
        unsigned["notificationItems"][at] = item("4");
        assert_eq!(cause(&stack, with(&unsigned)).await, "field-missing", "{at}");
    }
    assert_eq!(cause(&stack, with(&json!({ "notificationItems": [] }))).await, "field-missing");
    assert_eq!(cause(&stack, with(&json!({}))).await, "body-unreadable");
    let first = &value["notificationItems"][0];
    let references: Vec<_> = (0..1_001).map(|reference| reference.to_string()).collect();
    let references: Vec<_> = references.iter().map(String::as_str).collect();
    let many = |count| signed_by(&ADYEN, request("/in", None, adyen_body(&references[..count])));
    assert!(outcome(&stack, many(1_000)).await.is_ok());
    assert_eq!(cause(&stack, many(1_001)).await, "too-many-parts");
    let twice = format!("{{\"notificationItems\":[{first}],\"notificationItems\":[{}]}}", item("4"));
    assert_eq!(cause(&stack, with(&json!({})).map(|_| Bytes::from(twice))).await, "body-unreadable");
}

#[tokio::test]
async fn no_colon_moves_the_boundary_of_adyens_fields() {
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1"])));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    assert!(
        outcome(&stack(&ADYEN), signed.clone()).await.is_ok(),
        "the merchant's own reference may hold one"
    );
    // What is signed stays the same text: `…:TestMerchant:cart:17:1130:EUR:…`.
    for (changes, expected) in [
        ([("merchantAccountCode", "TestMerchant:cart"), ("merchantReference", "17")], "field-divided"),
        ([("merchantReference", "cart"), ("eventCode", "17:1130:EUR:AUTHORISATION")], "field-divided"),
        ([("pspReference", "1:7914073381342283"), ("originalReference", "")], "field-divided"),
    ] {
        let mut moved = value.clone();
        for (field, text) in changes {
            moved["notificationItems"][0]["NotificationRequestItem"][field] = text.into();
        }
        let forged = signed.clone().map(|_| Bytes::from(moved.to_string()));
        assert_eq!(cause(&stack(&ADYEN), forged).await, expected);
    }
}

#[tokio::test]
async fn adyens_captured_items_are_the_same_delivery_whatever_is_changed_beside_them() {
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1", "2"])));
    let first = outcome(&stack(&ADYEN), signed.clone()).await.unwrap();
    assert_eq!(first.event_type(), Some("AUTHORISATION"));
    assert_eq!(first.id().unwrap().origin(), IdOrigin::Derived);
    let mut value: Value = serde_json::from_slice(signed.body()).unwrap();
    value["live"] = "true".into();
    value["notificationItems"][0]["NotificationRequestItem"]["reason"] = "other".into();
    let changed =
        outcome(&stack(&ADYEN), signed.clone().map(|_| Bytes::from(value.to_string()))).await.unwrap();
    assert_eq!(changed.id(), first.id());
    value["notificationItems"].as_array_mut().unwrap().pop();
    let fewer = outcome(&stack(&ADYEN), signed.map(|_| Bytes::from(value.to_string()))).await.unwrap();
    assert_ne!(fewer.id(), first.id());
}

#[tokio::test]
async fn an_item_of_adyens_is_not_there_twice_and_the_order_of_items_is_no_new_delivery() {
    let stack = stack(&ADYEN);
    let signed = signed_by(&ADYEN, request("/in", None, adyen_body(&["1", "2"])));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    let (one, two) = (&value["notificationItems"][0], &value["notificationItems"][1]);
    let of = |items: &[&Value]| {
        signed.clone().map(|_| Bytes::from(json!({ "notificationItems": items }).to_string()))
    };
    let mut changed = one.clone();
    changed["NotificationRequestItem"]["reason"] = "other".into();
    changed["NotificationRequestItem"]["amount"]["value"] = "1130".into();
    for items in [&[one, one][..], &[one, &changed], &[one, two, one], &[one, one, one]] {
        assert_eq!(cause(&stack, of(items)).await, "body-unreadable", "{items:?}");
    }
    let mut ids = Vec::new();
    for items in [&[one, two][..], &[two, one], &[one], &[&changed]] {
        ids.push(outcome(&stack, of(items)).await.unwrap().id().unwrap().clone());
    }
    assert_eq!((&ids[0], &ids[2]), (&ids[1], &ids[3]));
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn contentfuls_timestamp_must_be_listed_and_less_than_thirty_seconds_old() {
    let signed = signed_by(&CONTENTFUL, request("/in", None, "{}"));
    let millis = Duration::from_millis;
    assert!(outcome(&stack_at(&CONTENTFUL, now() + millis(29_999)), signed.clone()).await.is_ok());
    assert_eq!(
        cause(&stack_at(&CONTENTFUL, now() + millis(30_000)), signed.clone()).await,
        "timestamp-too-old"
    );
    for list in ["x-contentful-signed-headers", "x-contentful-timestamp", "content-type"] {
        let mut forged = signed.clone();
        forged.headers_mut().insert("x-contentful-signed-headers", HeaderValue::from_static(list));
        assert_eq!(cause(&stack(&CONTENTFUL), forged).await, "header-not-signed", "{list}");
    }
}

#[tokio::test]
async fn every_notification_of_graphs_must_hold_the_client_state() {
    let stack = stack(&MICROSOFT_GRAPH);
    let signed = signed_by(&MICROSOFT_GRAPH, request("/in", None, GRAPH));
    let delivery = outcome(&stack, signed.clone()).await.unwrap();
    assert_eq!(delivery.event_type(), Some("updated"));
    let value: Value = serde_json::from_slice(signed.body()).unwrap();
    let with = |value: Value| signed.clone().map(|_| Bytes::from(value.to_string()));
    for at in 0..2 {
        for state in [json!(null), json!(""), json!("other"), json!([TEXT]), json!({ "a": TEXT })] {
            let mut forged = value.clone();
            forged["value"][at]["clientState"] = state.clone();
            let (status, cause) = outcome(&stack, with(forged)).await.unwrap_err();
            assert_eq!(status, 401);
            assert!(["field-token-mismatch", "body-unreadable"].contains(&cause.code()), "{state}: {cause}");
        }
    }
    assert_eq!(cause(&stack, with(json!({ "value": [] }))).await, "field-missing");
    assert_eq!(cause(&stack, with(json!({}))).await, "body-unreadable");
}

/// SHA-256's padding of a message of this length.
fn padding(length: usize) -> Vec<u8> {
    let mut padding = vec![0x80];
    padding.resize(1 + (119 - length % 64) % 64, 0);
    padding.extend_from_slice(&(length as u64 * 8).to_be_bytes());
    padding
}

#[tokio::test]
async fn a_plain_hash_is_not_extended() {
    let (preset, body) = (HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH, "[1]");
    let message = [TEXT.as_bytes(), body.as_bytes()].concat();
    assert_eq!((message.len() + padding(message.len()).len()) % 64, 0);
    // With the secret at hand the extended body is signed as its finder would, who needs no secret for it.
    let extended = [body.as_bytes(), &padding(message.len()), b",[2]"].concat();
    let mut forged = request("/in", None, extended);
    let refused = preset.sign(&mut forged, &secret(&preset), &Signing::new("", now())).is_ok();
    assert!(refused, "the hash itself is right");
    assert_eq!(cause(&stack(&preset), forged).await, "body-unreadable");
}
