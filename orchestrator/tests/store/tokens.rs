//! Tokens: good, expired, revoked, and never readable again.

use crate::databases::{Fresh, on_both};
use orchestrator::store::{Role, TokenName};
use std::time::Duration;

on_both!(a_token_is_good_until_it_expires_or_is_revoked);

fn named(name: &str) -> TokenName {
    name.parse().expect("a name")
}

async fn a_token_is_good_until_it_expires_or_is_revoked(fresh: Fresh) {
    let store = fresh.store;
    assert!(["", " ", "a\nb", &"x".repeat(256)].iter().all(|name| name.parse::<TokenName>().is_err()));
    let (token, secret) = store.make_token(&named("ci"), Role::Operator, None).await.expect("made");
    assert_eq!(store.token(&secret).await.expect("it answers"), Some(token.clone()));
    assert_eq!(store.token("qv_made_up").await.expect("it answers"), None);
    let (_, over) = store.make_token(&named("old"), Role::Viewer, Some(Duration::ZERO)).await.expect("made");
    assert_eq!(store.token(&over).await.expect("it answers"), None);
    let (long, secret_of_long) =
        store.make_token(&named("long"), Role::Viewer, Some(Duration::MAX)).await.expect("made");
    assert_eq!(store.token(&secret_of_long).await.expect("it answers"), Some(long));
    store.revoke_token(&token.id).await.expect("revoked");
    assert_eq!(store.token(&secret).await.expect("it answers"), None);
    let listed = format!("{:?}", store.tokens().await.expect("listed"));
    assert!(!listed.contains(&secret), "{listed}");
    assert!(store.revoke_token("nobody").await.is_err());
}
