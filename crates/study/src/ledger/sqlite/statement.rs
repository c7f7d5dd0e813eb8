//! Statements that are read and planned once and kept for the next time: the ledger says the same few
//! again and again.

use rusqlite::{Connection, Params, Row};

/// How many statements are kept; the ledger has about fifty.
pub(super) const KEPT: usize = 80;

/// Statements by their text.
pub(super) trait Statements {
    /// How many rows a statement has changed.
    fn change(&self, statement: &str, parameters: impl Params) -> rusqlite::Result<usize>;

    /// What is in its first row.
    fn ask<T>(
        &self,
        statement: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T>;
}

impl Statements for Connection {
    fn change(&self, statement: &str, parameters: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(statement)?.execute(parameters)
    }

    fn ask<T>(
        &self,
        statement: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.prepare_cached(statement)?.query_row(parameters, read)
    }
}
