//! What a run may become: states and legal moves, without any I/O.
//!
//! The store makes no other move than these; the table in `docs/runs.md` is drawn from here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits for its turn, or for the time of its next attempt.
    Queued,
    /// A replica runs it, for as long as its lease lasts.
    Running,
    /// Somebody asked for its end; no replica has confirmed it yet, with what runs finally behind it.
    Cancelling,
    /// All its steps ended well.
    Done,
    /// It ended badly, and is not tried again by itself.
    Failed,
    /// It was ended on request.
    Cancelled,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Cancelling, Self::Done, Self::Failed, Self::Cancelled];

    /// Its name, as it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RunState {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| format!("no state \"{name}\"; there are {}", known()))
    }
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// A replica takes it, with a lease.
    Claim,
    /// Another replica takes it, because the lease of the one that had it is over.
    TakeOver,
    /// All steps ended well.
    Succeed,
    /// It failed, and is not tried again.
    Fail,
    /// It failed, and goes back into the queue for another attempt.
    Retry,
    /// Its replica is going down, and gives it back unharmed.
    Release,
    /// Somebody asks for its end.
    Cancel,
    /// Somebody asks for the end of one that waits for another attempt, and of which something runs finally.
    CancelBegun,
    /// The replica that ran it has stopped it.
    ConfirmCancel,
    /// Somebody asks for another attempt.
    Resume,
}

impl Move {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Claim,
        Self::TakeOver,
        Self::Succeed,
        Self::Fail,
        Self::Retry,
        Self::Release,
        Self::Cancel,
        Self::CancelBegun,
        Self::ConfirmCancel,
        Self::Resume,
    ];

    /// Its name, as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::TakeOver => "take over",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::CancelBegun => "cancel what has begun",
            Self::ConfirmCancel => "confirm the cancel",
            Self::Resume => "resume",
        }
    }

    /// What cannot be done where it is not legal.
    pub fn asked(self) -> &'static str {
        match self {
            Self::Cancel => "be cancelled",
            Self::Resume => "be run again",
            own => own.name(),
        }
    }

    /// Where it leads from here; nothing if it is not legal.
    pub fn from(self, state: RunState) -> Option<RunState> {
        use RunState::{Cancelled, Cancelling, Done, Failed, Queued, Running};
        Some(match (self, state) {
            (Self::Claim, Queued) => Running,
            (Self::TakeOver, Running) => Running,
            (Self::TakeOver, Cancelling) => Cancelling,
            // All its outputs were committed before the request came.
            (Self::Succeed, Running | Cancelling) => Done,
            (Self::Fail, Running) => Failed,
            (Self::Retry, Running) => Queued,
            (Self::Release, Running) => Queued,
            // Who takes it over lets run what runs finally, and confirms the cancel.
            (Self::Retry | Self::Release, Cancelling) => Cancelling,
            (Self::Cancel, Queued) => Cancelled,
            (Self::Cancel, Running) => Cancelling,
            // Who takes it over lets that run.
            (Self::CancelBegun, Queued) => Cancelling,
            (Self::ConfirmCancel, Cancelling) => Cancelled,
            (Self::Resume, Failed | Cancelled) => Queued,
            _ => return None,
        })
    }
}

/// The table of states and moves, as `docs/runs.md` shows it.
pub fn table() -> String {
    let mut text = String::from("| from |");
    for state in RunState::ALL {
        text += &format!(" to {state} |");
    }
    text += "\n|---|";
    text += &"---|".repeat(RunState::ALL.len());
    text.push('\n');
    for from in RunState::ALL {
        text += &format!("| **{from}** |");
        for to in RunState::ALL {
            let moves: Vec<&str> =
                Move::ALL.into_iter().filter(|step| step.from(from) == Some(to)).map(Move::name).collect();
            text += &format!(" {} |", moves.join(", "));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_stays_done() {
        assert!(Move::ALL.into_iter().all(|step| step.from(RunState::Done).is_none()));
    }

    #[test]
    fn what_is_final_moves_only_when_somebody_asks() {
        for state in RunState::ALL.into_iter().filter(|state| state.is_final()) {
            let moves: Vec<Move> = Move::ALL.into_iter().filter(|step| step.from(state).is_some()).collect();
            assert!(moves.iter().all(|step| *step == Move::Resume), "{state}: {moves:?}");
        }
    }

    #[test]
    fn every_state_can_be_reached_and_every_name_read_back() {
        for state in RunState::ALL {
            let reached =
                RunState::ALL.into_iter().any(|from| Move::ALL.into_iter().any(|m| m.from(from) == Some(state)));
            assert!(reached, "{state}");
            assert_eq!(state.name().parse(), Ok(state));
        }
    }

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("../../../docs/runs.md");
        assert!(docs.contains(&table()), "docs/runs.md must hold this table:\n{}", table());
    }
}
