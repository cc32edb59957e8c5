//! Requests to addresses that somebody else has chosen.
//!
//! Whoever writes a pipeline must not reach through this process what he cannot reach himself. So a name is looked up
//! here, only addresses that may be reached are left of what it stands for, and the connection goes to one of these:
//! there is no second look-up that could answer something else. No redirect is followed unseen, and no proxy is used.
//!
//! | where | what |
//! |---|---|
//! | [`is_public`] | which addresses are anybody's to reach |
//! | [`AllowList`] | what an operator allows beyond them |
//! | `client` (feature `outbound`) | an HTTP client that reaches nothing else |
//! | `retry_after` (feature `outbound`) | how long a server wants to be left alone |

mod address;
mod allow;
#[cfg(feature = "outbound")]
mod client;
#[cfg(feature = "outbound")]
mod pause;

pub use address::is_public;
pub use allow::AllowList;
#[cfg(feature = "outbound")]
pub use client::{
    Lookup, NotPublic, TRUST, cause, check, client, client_with, is_distrusted, reason, refusal, system_lookup,
};
#[cfg(feature = "outbound")]
pub use pause::retry_after;
