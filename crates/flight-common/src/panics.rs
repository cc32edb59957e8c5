//! Panics of libraries over bytes that somebody else has written. Such bytes are damaged, and no more is wrong than that: the
//! panic is caught, and where it was goes to the log for those who debug, not to the terminal.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Says of a panic that is caught where it was; of any other, what was said before.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| match EXPECTED.get() {
            true => tracing::debug!(place = ?panic.location().map(ToString::to_string), "a library panicked"),
            false => before(panic),
        }));
    });
}

/// What this work gives.
///
/// # Errors
/// What is said where it panics.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    hook();
    let before = EXPECTED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(before);
    done.map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_what_it_says_and_others_are_heard_as_before() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| caught(|| panic!("within"))), Ok(Err::<(), _>("within".to_owned())));
        assert_eq!(caught(|| panic!("row {}", 3)), Err::<(), _>("row 3".to_owned()));
        assert!(!EXPECTED.get());
    }
}
