//! What a panic has to say, for callers that make a failure of it.

use std::any::Any;

/// The message of a panic, from what `catch_unwind` or the join of a thread returns.
///
/// ```
/// let panic = std::panic::catch_unwind(|| panic!("no {}", "luck")).unwrap_err();
/// assert_eq!(ai_core::panic_message(&*panic), "no luck");
/// ```
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    // `panic!` makes the one of a text as it stands, and the other where it has to format.
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}
