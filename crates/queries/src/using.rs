//! Tables in `FROM` that are joined by `USING`, as far as the text alone tells which of them has which column.

use datafusion::sql::sqlparser::ast::{
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableFactor, TableWithJoins,
};

/// A table of `FROM`.
pub(crate) struct Table {
    /// What it is called where its columns are named.
    pub name: ObjectName,
    pub joined: Joined,
}

/// How a table is joined with those before it.
#[derive(Clone, Default)]
pub(crate) struct Joined {
    /// The columns of `USING`, each once.
    pub shared: Vec<Ident>,
    /// The table to the left, if it is one.
    left: Option<ObjectName>,
    /// Whether only rows with a partner stay.
    is_inner: bool,
}

impl Table {
    /// Whether it is known which table to the left has the columns of `USING`.
    pub fn is_given(&self) -> bool {
        self.joined.left.is_some()
    }

    /// A table whose columns of `USING` are equal to those of the join; nothing where it is one of several.
    pub fn giver(&self) -> Option<&ObjectName> {
        self.joined.left.as_ref().or(self.joined.is_inner.then_some(&self.name))
    }
}

/// The tables in their order; nothing if one of them has no name, or is joined by what is not known here.
pub(crate) fn tables(from: &[TableWithJoins]) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    for joined in from {
        add_joined(joined, Joined::default(), &mut tables)?;
    }
    Some(tables)
}

/// Adds tables that are joined, of which the first is joined so with those before.
fn add_joined(from: &TableWithJoins, first: Joined, tables: &mut Vec<Table>) -> Option<()> {
    let mut side = Vec::new();
    add(&from.relation, first, &mut side)?;
    for join in &from.joins {
        add_join(join, &mut side)?;
    }
    tables.append(&mut side);
    Some(())
}

/// Adds what is joined with all of these.
pub(crate) fn add_join(join: &Join, side: &mut Vec<Table>) -> Option<()> {
    use JoinOperator::{Inner, Left, LeftAnti, LeftOuter, LeftSemi};
    // Of the right side of these there is no column.
    if matches!(join.join_operator, LeftSemi(_) | LeftAnti(_)) {
        return Some(());
    }
    let is_inner = matches!(join.join_operator, JoinOperator::Join(_) | Inner(_));
    let left = match side.as_slice() {
        [left] if is_inner || matches!(join.join_operator, Left(_) | LeftOuter(_)) => Some(left.name.clone()),
        _ => None,
    };
    add(&join.relation, Joined { shared: joined_by(&join.join_operator)?, left, is_inner }, side)
}

/// Adds the first table, or one that is joined so.
pub(crate) fn add(factor: &TableFactor, joined: Joined, tables: &mut Vec<Table>) -> Option<()> {
    match factor {
        // Which of several tables in brackets has the columns is not known.
        TableFactor::NestedJoin { table_with_joins: inner, alias: None }
            if inner.joins.is_empty() || joined.shared.is_empty() =>
        {
            add_joined(inner, joined, tables)
        }
        _ => {
            tables.push(Table { name: called(factor)?, joined });
            Some(())
        }
    }
}

/// What a table is called where its columns are named, if it has a name.
pub(crate) fn called(factor: &TableFactor) -> Option<ObjectName> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => {
            Some(ObjectName(vec![ObjectNamePart::Identifier(alias.name.clone())]))
        }
        TableFactor::Table { name, args: None, .. } => Some(name.clone()),
        _ => None,
    }
}

/// What tables are joined by, where all columns of both are there.
pub(crate) fn constraint(join: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    use JoinOperator::{Inner, Join, Left, LeftOuter};
    match join {
        Join(by) | Inner(by) | Left(by) | LeftOuter(by) => Some(by),
        _ => None,
    }
}

/// The columns of `USING`; nothing where the tables are joined by what is not known here.
pub(crate) fn joined_by(join: &JoinOperator) -> Option<Vec<Ident>> {
    use JoinOperator::{CrossJoin, FullOuter, Inner, Join, Left, LeftOuter, Right, RightOuter};
    let (Join(by) | Inner(by) | Left(by) | LeftOuter(by) | Right(by) | RightOuter(by) | FullOuter(by) | CrossJoin(by)) =
        join
    else {
        return None;
    };
    match by {
        JoinConstraint::Using(names) => {
            let mut columns: Vec<Ident> = names.iter().map(alone).collect::<Option<_>>()?;
            columns.sort();
            columns.dedup();
            Some(columns)
        }
        JoinConstraint::On(_) | JoinConstraint::None => Some(Vec::new()),
        JoinConstraint::Natural => None,
    }
}

fn alone(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(name.clone()),
        _ => None,
    }
}
