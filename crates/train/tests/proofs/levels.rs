//! The same proofs with lesser vector instructions: every level must compute the same network.
//!
//! The level is chosen once per process, so this test program is run again with another choice.

use std::process::Command;

/// Proofs that depend on the engine's loops.
const PROOFS: [&str; 2] = ["golden::", "gradients::"];

fn check(level: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(PROOFS)
        .env(train::LEVEL_VARIABLE, level)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{level}:\n{said}");
    let passed = said.matches("... ok").count();
    assert!(passed >= 5, "{level}: only {passed} proofs ran:\n{said}");
}

#[test]
fn the_proofs_hold_without_any_vector_instructions() {
    check("portable");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_proofs_hold_with_avx2() {
    check("avx2");
}
