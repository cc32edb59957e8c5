//! One pass of the engine: which side becomes the hash table, and which rows come out of it.

use datafusion_common::JoinType;

/// A side of the join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The input `left`.
    Left,
    /// The input `right`.
    Right,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// One pass of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The side that becomes the hash table.
    pub build: Side,
    /// Which rows come out, with the build side as the left one.
    pub join_type: JoinType,
}

impl Pass {
    /// The pass that does all of a join at once.
    pub fn whole(join_type: JoinType, build: Side) -> Self {
        let join_type = match build {
            Side::Left => join_type,
            Side::Right => join_type.swap(),
        };
        Self { build, join_type }
    }

    /// The passes that do a join when the build side comes in blocks, each of which sees all of the probe side.
    ///
    /// A block knows which of its own rows matched nothing, but not which probe rows did; so rows that come out
    /// unmatched must be on the build side, and an outer join takes two passes.
    pub fn in_blocks(join_type: JoinType, smaller: Side) -> Vec<Self> {
        let pass = |build, join_type| Self { build, join_type };
        match join_type {
            JoinType::Inner => vec![pass(smaller, JoinType::Inner)],
            JoinType::Right => vec![pass(Side::Right, JoinType::Left)],
            JoinType::Full => vec![pass(Side::Left, JoinType::Left), pass(Side::Right, JoinType::LeftAnti)],
            left_kind => vec![pass(Side::Left, left_kind)],
        }
    }

    /// Whether the columns of both sides come out.
    pub fn gives_both(self) -> bool {
        self.gives(Side::Left) && self.gives(Side::Right)
    }

    /// Whether this side's columns come out.
    pub fn gives(self, side: Side) -> bool {
        match self.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => side == self.build,
            JoinType::RightSemi | JoinType::RightAnti => side != self.build,
            _ => true,
        }
    }

    /// Whether rows of the build side come out at the end, all at once, for having matched something or nothing.
    pub fn keeps_build_rows(self) -> bool {
        matches!(self.join_type, JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti)
    }
}
