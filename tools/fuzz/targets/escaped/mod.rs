//! Panics that escape.
//!
//! Some readers of libraries panic on damaged files; `data` catches these and says what is wrong with the file. This
//! is no finding, but libFuzzer's hook would end at it.

use std::{
    panic::{self, AssertUnwindSafe},
    process,
    sync::{Mutex, Once},
};

static LATEST: Mutex<String> = Mutex::new(String::new());

/// Tries an input; ends the program if a panic comes out of it.
pub fn run(input: impl FnOnce()) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let trace = std::backtrace::Backtrace::capture();
            *LATEST.lock().unwrap() = format!("{info}\n{trace}");
        }));
    });
    if panic::catch_unwind(AssertUnwindSafe(input)).is_err() {
        eprintln!("{}", LATEST.lock().unwrap());
        process::abort();
    }
}
