//! Pipelines and their versions.

use crate::databases::{Fresh, on_both};
use orchestrator::store::{Definition, Expected, StoreError};

on_both!(
    a_changed_text_is_a_new_version_and_the_same_text_is_not,
    of_two_who_change_the_same_version_one_is_told,
    what_was_changed_in_the_meantime_is_not_deleted,
    what_is_not_there_is_said_by_name,
);

async fn a_changed_text_is_a_new_version_and_the_same_text_is_not(fresh: Fresh) {
    let store = fresh.store;
    let (one, two) = (Definition::new("steps: [1]"), Definition::new("steps: [2]"));
    let first = store.put_pipeline("hr", &one, &Expected::Any, "ann").await.expect("stored");
    let again = store.put_pipeline("hr", &one, &Expected::Any, "bob").await.expect("stored");
    assert_eq!((first.made, again.made), (true, false));
    assert_eq!(first.version, again.version);
    let second = store.put_pipeline("hr", &two, &Expected::Any, "bob").await.expect("stored");
    let (first, second) = (first.version, second.version);
    assert_eq!((first.version, second.version), (1, 2));
    let (newest, text) = store.pipeline("hr", None).await.expect("it is there");
    assert_eq!((newest, text), (second.clone(), two));
    let (_, text) = store.pipeline("hr", Some(1)).await.expect("it is there");
    assert_eq!(text, one);
    assert_eq!(store.versions("hr").await.expect("they are there"), [second, first]);
    assert_eq!(store.pipelines().await.expect("listed").len(), 1);
}

async fn of_two_who_change_the_same_version_one_is_told(fresh: Fresh) {
    let store = fresh.store;
    let text = |n: i32| Definition::new(format!("steps: [{n}]"));
    store.put_pipeline("hr", &text(0), &Expected::NotThere, "ann").await.expect("there was none");
    let base = Expected::hash(&text(0).hash);
    let (left, right) = (text(1), text(2));
    let both =
        tokio::join!(store.put_pipeline("hr", &left, &base, "ann"), store.put_pipeline("hr", &right, &base, "bob"),);
    let refused = match both {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        both => panic!("one must win: {both:?}"),
    };
    assert!(matches!(refused, StoreError::Stale(_)), "{refused}");
    let error = store.put_pipeline("hr", &text(3), &Expected::NotThere, "ann").await.expect_err("it is there");
    assert!(matches!(&error, StoreError::Stale(why) if why == "there is a pipeline hr already"), "{error}");
    let error = store.put_pipeline("other", &text(3), &base, "ann").await.expect_err("it is not there");
    assert!(matches!(error, StoreError::Stale(_)), "{error}");
    assert_eq!(store.pipelines().await.expect("listed").len(), 1, "what was refused left nothing");
}

async fn what_was_changed_in_the_meantime_is_not_deleted(fresh: Fresh) {
    let store = fresh.store;
    let (old, new) = (Definition::new("steps: [1]"), Definition::new("steps: [2]"));
    store.put_pipeline("hr", &old, &Expected::Any, "ann").await.expect("stored");
    store.put_pipeline("hr", &new, &Expected::Any, "bob").await.expect("stored");
    let error = store.delete_pipeline("hr", &Expected::hash(&old.hash)).await.expect_err("it was changed");
    assert!(matches!(&error, StoreError::Stale(why) if why.contains(&new.hash)), "{error}");
    assert_eq!(store.versions("hr").await.expect("nothing is gone").len(), 2);
    store.delete_pipeline("hr", &Expected::hash(&new.hash)).await.expect("it is the newest");
    assert!(store.pipeline("hr", None).await.is_err());
}

async fn what_is_not_there_is_said_by_name(fresh: Fresh) {
    let store = fresh.store;
    store.put_pipeline("hr", &Definition::new("x"), &Expected::Any, "ann").await.expect("stored");
    assert!(
        matches!(store.pipeline("h\0r", None).await, Err(StoreError::NotFound(_))),
        "no name that a database refuses"
    );
    let error = store.pipeline("hr", Some(7)).await.expect_err("no such version");
    assert_eq!(error.to_string(), "there is no version 7 of pipeline hr");
    store.delete_pipeline("hr", &Expected::Any).await.expect("it was there");
    let error = store.delete_pipeline("hr", &Expected::Any).await.expect_err("it is gone");
    assert_eq!(error.to_string(), "there is no pipeline hr");
}
