//! Tables in text: from bytes to typed columns.

pub(crate) mod columns;
pub(crate) mod read;
pub(crate) mod text;
