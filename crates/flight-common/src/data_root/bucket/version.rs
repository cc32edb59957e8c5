//! What tells one object from another of the same name.

use object_store::ObjectMeta;

/// The entity tag, where it stands for the bytes and not only for something like them.
pub fn etag(object: &ObjectMeta) -> Option<&str> {
    object.e_tag.as_deref().filter(|tag| !tag.starts_with("W/"))
}

/// The version as text: the entity tag; of a server that gives none, the time of the last change.
pub fn version(object: &ObjectMeta) -> String {
    match &object.e_tag {
        Some(tag) => format!("ETag {tag}"),
        None => format!("changed {}", object.last_modified.to_rfc3339()),
    }
}
