//! Reading with libraries that assert things about a file which a damaged one may break.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::text::malformed;
use crate::error::DataError;

/// What `reading` gives; a panic in it becomes an error about the file, which should be of this format.
pub(super) fn guarded<T>(
    path: &Path,
    format: &str,
    reading: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(reading)).unwrap_or_else(|_| {
        let problem = format!(
            "it is no whole {format} file (its description contradicts itself): was it cut?"
        );
        Err(malformed(path, problem))
    })
}
