//! Values of Arrow columns as the cells of a table: the texts that a Parquet file of them gives.

use std::path::Path;

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
        Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
        DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
        Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};
use arrow_schema::{DataType, Schema, TimeUnit};
use chrono::{DateTime, NaiveTime, Utc};

use crate::{
    error::DataError,
    table::{Taken, nested, text::malformed},
};

/// Milliseconds and seconds of a day.
const DAY_MILLIS: i64 = 86_400_000;
const DAY_SECONDS: i64 = 86_400;

/// Refuses columns that are taken and not flat, before anything of them is read.
pub(super) fn check_columns(
    path: &Path,
    schema: &Schema,
    taken: Taken<'_>,
) -> Result<(), DataError> {
    let refused = |problem: String| Err(malformed(path, problem));
    let fields = || {
        schema
            .fields()
            .iter()
            .filter(|field| taken.is_taken(field.name()))
    };
    for field in fields() {
        let name = field.name();
        let kind = match field.data_type() {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        if kind.is_nested() {
            return refused(nested(name));
        }
        if !is_read(kind) {
            return refused(format!(
                "column `{name}` holds values of the type {kind}, which are not read: save it without them, \
                 or --ignore {name}"
            ));
        }
    }
    let is_empty = |kind: &DataType| *kind == DataType::Null;
    // Rows of nothing cost no byte, so there is no saying how many there are.
    let mut all = schema.fields().iter();
    match all.all(|field| is_empty(field.data_type())) {
        true => refused("none of its columns has values".to_string()),
        false => Ok(()),
    }
}

fn is_read(kind: &DataType) -> bool {
    let is_text = matches!(
        kind,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    );
    let is_other = matches!(kind, DataType::Null | DataType::Boolean);
    let is_interval = matches!(kind, DataType::Interval(_));
    is_text || is_other || (kind.is_primitive() && !is_interval)
}

/// The cell of a row; empty if there is no value.
pub(super) fn text(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    match column.data_type() {
        DataType::Null => String::new(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).trim().to_string(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).trim().to_string(),
        DataType::Utf8View => column.as_string_view().value(row).trim().to_string(),
        DataType::Binary => lossy(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => lossy(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => lossy(column.as_binary_view().value(row)),
        DataType::Dictionary(..) => {
            let words = column.as_any_dictionary();
            match key(words.keys(), row) {
                Some(key) => text(words.values(), key),
                None => String::new(),
            }
        }
        _ => number(column, row)
            .or_else(|| time(column, row))
            .unwrap_or_default(),
    }
}

/// Which word of a dictionary a row names.
fn key(keys: &dyn Array, row: usize) -> Option<usize> {
    fn of<T: ArrowPrimitiveType>(keys: &dyn Array, row: usize) -> Option<T::Native> {
        Some(keys.as_primitive_opt::<T>()?.value(row))
    }
    match keys.data_type() {
        DataType::Int8 => usize::try_from(of::<Int8Type>(keys, row)?).ok(),
        DataType::Int16 => usize::try_from(of::<Int16Type>(keys, row)?).ok(),
        DataType::Int32 => usize::try_from(of::<Int32Type>(keys, row)?).ok(),
        DataType::Int64 => usize::try_from(of::<Int64Type>(keys, row)?).ok(),
        DataType::UInt8 => Some(usize::from(of::<UInt8Type>(keys, row)?)),
        DataType::UInt16 => Some(usize::from(of::<UInt16Type>(keys, row)?)),
        DataType::UInt32 => usize::try_from(of::<UInt32Type>(keys, row)?).ok(),
        DataType::UInt64 => usize::try_from(of::<UInt64Type>(keys, row)?).ok(),
        _ => None,
    }
}

fn value<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

fn number(column: &ArrayRef, row: usize) -> Option<String> {
    Some(match column.data_type() {
        DataType::Int8 => value::<Int8Type>(column, row).to_string(),
        DataType::Int16 => value::<Int16Type>(column, row).to_string(),
        DataType::Int32 => value::<Int32Type>(column, row).to_string(),
        DataType::Int64 => value::<Int64Type>(column, row).to_string(),
        DataType::UInt8 => value::<UInt8Type>(column, row).to_string(),
        DataType::UInt16 => value::<UInt16Type>(column, row).to_string(),
        DataType::UInt32 => value::<UInt32Type>(column, row).to_string(),
        DataType::UInt64 => value::<UInt64Type>(column, row).to_string(),
        DataType::Float16 => value::<Float16Type>(column, row).to_f32().to_string(),
        DataType::Float32 => value::<Float32Type>(column, row).to_string(),
        DataType::Float64 => value::<Float64Type>(column, row).to_string(),
        DataType::Decimal32(..) => column.as_primitive::<Decimal32Type>().value_as_string(row),
        DataType::Decimal64(..) => column.as_primitive::<Decimal64Type>().value_as_string(row),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => column.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Duration(TimeUnit::Second) => {
            value::<DurationSecondType>(column, row).to_string()
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            value::<DurationMillisecondType>(column, row).to_string()
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            value::<DurationMicrosecondType>(column, row).to_string()
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            value::<DurationNanosecondType>(column, row).to_string()
        }
        _ => return None,
    })
}

/// Dates, times of day and instants; nothing for what lies beyond all calendars.
fn time(column: &ArrayRef, row: usize) -> Option<String> {
    match column.data_type() {
        DataType::Date32 => date(i64::from(value::<Date32Type>(column, row))),
        DataType::Date64 => date(value::<Date64Type>(column, row).div_euclid(DAY_MILLIS)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            let time = value::<TimestampSecondType>(column, row);
            DateTime::from_timestamp(time, 0).map(|time| instant(time, "%.3f"))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let time = value::<TimestampMillisecondType>(column, row);
            DateTime::from_timestamp_millis(time).map(|time| instant(time, "%.3f"))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let time = value::<TimestampMicrosecondType>(column, row);
            DateTime::from_timestamp_micros(time).map(|time| instant(time, "%.6f"))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let time = value::<TimestampNanosecondType>(column, row);
            Some(instant_of_nanos(time))
        }
        DataType::Time32(TimeUnit::Second) => {
            let second = i64::from(value::<Time32SecondType>(column, row));
            time_of_day(second, 1, "%.3f")
        }
        DataType::Time32(_) => {
            let milli = i64::from(value::<Time32MillisecondType>(column, row));
            time_of_day(milli, 1_000, "%.3f")
        }
        DataType::Time64(TimeUnit::Microsecond) => time_of_day(
            value::<Time64MicrosecondType>(column, row),
            1_000_000,
            "%.6f",
        ),
        DataType::Time64(_) => {
            let nano = value::<Time64NanosecondType>(column, row);
            time_of_day(nano, 1_000_000_000, "%.9f")
        }
        _ => None,
    }
}

fn date(days: i64) -> Option<String> {
    let time = DateTime::from_timestamp(days.checked_mul(DAY_SECONDS)?, 0)?;
    Some(time.format("%Y-%m-%d").to_string())
}

/// An instant, given in nanoseconds since 1970, UTC.
pub(crate) fn instant_of_nanos(nanos: i64) -> String {
    instant(DateTime::from_timestamp_nanos(nanos), "%.9f")
}

fn instant(time: DateTime<Utc>, fraction: &str) -> String {
    time.format(&format!("%Y-%m-%d %H:%M:%S{fraction} %:z"))
        .to_string()
}

/// A time of day, given in parts of a second of which there are so many.
fn time_of_day(parts: i64, in_second: i64, fraction: &str) -> Option<String> {
    let second = u32::try_from(parts.div_euclid(in_second)).ok()?;
    let nano = u32::try_from(parts.rem_euclid(in_second) * (1_000_000_000 / in_second)).ok()?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(second, nano)?;
    Some(time.format(&format!("%H:%M:%S{fraction}")).to_string())
}
