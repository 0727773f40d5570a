//! Verifiers in the front door.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::ServiceExt;
use tower_webhook::{
    ConfigError, Provider, SigningSecret, Webhook,
    inbox::Inbox,
    provider::{self, AWS_SNS, GITHUB, MICROSOFT_GRAPH_RICH, PAYPAL, PLAID},
    remote::AwsSns,
    store::{MemoryClaims, MemoryInbox},
    verify::{KeyRing, SignError, Signing, VerifyLayer},
};

use super::{
    sns::{message, request, verifier},
    support::{Reply, SIGNER, Upstream, clock, shared},
};

fn sns() -> AwsSns {
    AwsSns::topics(["arn:aws:sns:eu-west-1:123456789012:orders"]).unwrap()
}

fn secret() -> SigningSecret {
    SigningSecret::from_text("a secret").unwrap()
}

fn presets() -> [Provider; 4] {
    [AWS_SNS, PAYPAL, PLAID, MICROSOFT_GRAPH_RICH]
}

#[test]
fn a_preset_whose_rule_is_code_says_which_verifier_it_needs() {
    for preset in presets() {
        let refusals = [
            Webhook::from(preset.clone()).build().err(),
            Webhook::from(preset.clone()).secret(secret()).build().err(),
            Webhook::from(preset.clone()).keys(KeyRing::new(secret())).build().err(),
            VerifyLayer::new(preset.clone(), KeyRing::new(secret())).err(),
            Webhook::from(preset.clone()).inbox(&Inbox::new(MemoryInbox::default()), "x").err(),
        ];
        for refusal in refusals {
            let refusal = refusal.unwrap();
            assert!(matches!(&refusal, ConfigError::NeedsVerifier { .. }), "{refusal}");
            assert!(refusal.to_string().contains("remote-keys"), "{refusal}");
            assert!(refusal.to_string().contains(preset.name()), "{refusal}");
        }
        let mut request = Request::new(Bytes::new());
        let error = preset.sign(&mut request, &secret(), &Signing::new("", std::time::SystemTime::now()));
        assert!(matches!(error, Err(SignError::InCode)));
    }
}

#[test]
fn a_verifier_stands_alone() {
    let conflicts = [
        Webhook::from(AWS_SNS).verifier(sns()).secret(secret()).build().err(),
        Webhook::from(AWS_SNS).verifier(sns()).keys(KeyRing::new(secret())).build().err(),
        Webhook::from(AWS_SNS).verifier(sns()).require_header("x-key", secret()).build().err(),
        Webhook::from(GITHUB).secret(secret()).verifier(sns()).build().err(),
    ];
    for conflict in conflicts {
        let conflict = conflict.unwrap();
        assert!(matches!(conflict, ConfigError::Conflict { first: ".verifier(..)", .. }), "{conflict}");
    }
}

#[test]
fn a_verifier_builds_a_stack_and_an_inbox() {
    let stack = Webhook::from(AWS_SNS).verifier(sns()).idempotent(MemoryClaims::default()).build().unwrap();
    assert!(stack.keys().is_none());
    let inbox = Inbox::new(MemoryInbox::default());
    assert!(Webhook::from(AWS_SNS).verifier(sns()).inbox(&inbox, "sns").is_ok());
    // A verifier of one's own may stand in for any provider's scheme.
    let shared = std::sync::Arc::new(sns());
    assert!(Webhook::from(provider::STRIPE).verifier(shared).build().is_ok());
}

#[tokio::test]
async fn an_inbox_behind_a_verifier_stores_what_it_has_let_pass() {
    let clock = clock();
    let upstream = Upstream::start(Reply::ok(SIGNER.certificate("sns.amazonaws.com", 2020..2040))).await;
    let inbox = Inbox::new(MemoryInbox::default());
    let verifier = verifier(&clock).fetching_with(upstream.client());
    let stack = Webhook::from(AWS_SNS).verifier(verifier).clock(shared(&clock)).inbox(&inbox, "sns").unwrap();
    let mut forged = message();
    forged["Message"] = "forged".into();
    for (message, expected) in [(message(), 200), (forged, 401), (message(), 200)] {
        let answer = stack.clone().oneshot(request(&message).map(Full::new)).await.unwrap();
        assert_eq!(answer.status(), expected);
    }
    let counts = inbox.counts().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.deliveries).sum::<u64>(), 1);
}
