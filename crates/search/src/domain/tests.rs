//! What holds for every domain, and what broken ones are told.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

fn rows() -> Domain {
    Domain::Integer {
        low: 32,
        high: 256,
        scale: Scale::Log,
        step: 2,
    }
}

fn rate() -> Domain {
    Domain::Float {
        low: 3e-4,
        high: 3e-2,
        scale: Scale::Log,
    }
}

fn stepped(low: f64, high: f64, scale: Scale, step: f64) -> Domain {
    Domain::Stepped {
        low,
        high,
        scale,
        step,
    }
}

fn names() -> Domain {
    Domain::Category {
        choices: ["adamw", "sgd", "lion"].map(String::from).to_vec(),
    }
}

#[test]
fn powers_of_two_are_a_log_domain_with_step_two() {
    let all: Vec<Value> = (0..rows().count()).map(|place| rows().nth(place)).collect();
    assert_eq!(all, [32, 64, 128, 256].map(Value::Integer));
    assert_eq!(rows().middle(), Value::Integer(64));
    assert_eq!(
        rows().clamp(&Value::Integer(100)),
        Some(Value::Integer(128))
    );
    assert_eq!(rows().clamp(&Value::Integer(-7)), Some(Value::Integer(32)));
    assert_eq!(rows().clamp(&Value::Float(64.0)), None);
}

#[test]
fn numbers_with_a_step_are_low_and_so_many_steps() {
    let all = |domain: &Domain| -> Vec<String> {
        let places = 0..domain.count();
        places.map(|place| domain.nth(place).to_string()).collect()
    };
    let tenths = stepped(0.1, 0.65, Scale::Linear, 0.1);
    assert_eq!(all(&tenths), ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]);
    assert_eq!(tenths.middle(), Value::Float(0.3));
    assert_eq!(tenths.clamp(&Value::Float(0.26)), Some(Value::Float(0.3)));
    assert_eq!(tenths.clamp(&Value::Integer(7)), Some(Value::Float(0.6)));
    assert_eq!(tenths.coordinate(&Value::Float(0.6)), Coordinate::Unit(1.0));
    let decades = stepped(1e-4, 1e-1, Scale::Log, 10.0);
    let expected = [1e-4, 1e-3, 1e-2, 1e-1].map(|value| Value::Float(value).to_string());
    assert_eq!(all(&decades), expected);
    let around_zero = stepped(-0.3, 0.3, Scale::Linear, 0.1);
    assert_eq!(
        all(&around_zero),
        ["-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"]
    );
    for domain in [tenths, decades, around_zero] {
        for place in 0..domain.count() {
            let value = domain.nth(place);
            assert_eq!(domain.place(&value), place, "{value}");
            assert_eq!(domain.at(domain.coordinate(&value)), value);
        }
    }
}

#[test]
fn the_middle_of_a_log_range_is_its_geometric_mean() {
    assert_eq!(rate().middle(), Value::Float(3e-3));
}

#[test]
fn samples_of_a_log_range_are_as_often_below_its_geometric_mean_as_above() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let draws = 4000;
    let below = (0..draws)
        .filter(|_| matches!(rate().sample(&mut rng), Value::Float(value) if value < 3e-3))
        .count();
    // Four standard deviations of a fair coin.
    assert!(
        (below as f64 - 2000.0).abs() < 4.0 * 31.6,
        "{below} of {draws}"
    );
}

#[test]
fn samples_and_mutations_stay_inside_and_mutations_move() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let narrow = |low, high, scale| Domain::Float { low, high, scale };
    for domain in [
        rows(),
        rate(),
        names(),
        stepped(0.0, 0.5, Scale::Linear, 0.05),
        stepped(1e-4, 1e-1, Scale::Log, 10.0),
        narrow(0.999, 0.9999, Scale::Linear),
        narrow(1.0001, 1.0004, Scale::Log),
    ] {
        let mut value = domain.sample(&mut rng);
        for _ in 0..500 {
            let mutated = domain.mutate(&value, &mut rng);
            assert_eq!(domain.clamp(&mutated), Some(mutated.clone()));
            assert_ne!(mutated, value);
            value = mutated;
        }
    }
}

#[test]
fn sampled_floats_have_three_significant_digits() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..200 {
        let Value::Float(value) = rate().sample(&mut rng) else {
            panic!("a float")
        };
        let digits = format!("{value:e}")
            .split('e')
            .next()
            .unwrap()
            .replace('.', "")
            .len();
        assert!(digits <= 3, "{value}");
    }
}

#[test]
fn a_narrow_range_has_as_many_values_as_a_wide_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for scale in [Scale::Linear, Scale::Log] {
        let domain = Domain::Float {
            low: 0.999,
            high: 0.9999,
            scale,
        };
        let drawn = (0..100).map(|_| domain.sample(&mut rng).to_string());
        let different: BTreeSet<String> = drawn.collect();
        // Of 900 values, 100 draws miss some twice.
        assert!(different.len() > 80, "{different:?}");
        assert!(
            different.iter().all(|value| value.len() <= 8),
            "{different:?}"
        );
    }
}

#[test]
fn a_domain_of_one_value_is_not_free_and_never_moves() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let one = Domain::Float {
        low: 0.5,
        high: 0.5,
        scale: Scale::Linear,
    };
    assert!(!one.is_free());
    assert_eq!(one.sample(&mut rng), Value::Float(0.5));
    assert_eq!(one.mutate(&Value::Float(0.1), &mut rng), Value::Float(0.5));
}

#[test]
fn broken_domains_say_which_rule_they_break() {
    let message = |domain: Domain| domain.check().unwrap_err().to_string();
    let float = |low, high, scale| Domain::Float { low, high, scale };
    insta::assert_snapshot!(message(float(2.0, 1.0, Scale::Linear)), @"`low` = 2 and `high` = 1 are no range: low must be a number, not above high");
    insta::assert_snapshot!(message(float(0.0, 1.0, Scale::Log)), @r#"`low` = 0 has no logarithm: with scale "log" it must be above 0"#);
    insta::assert_snapshot!(message(Domain::Integer { low: 1, high: 9, scale: Scale::Log, step: 1 }), @"`step` = 1 does not move: it must be at least 2");
    for (low, high, scale, step) in [
        (0.0, 1.0, Scale::Linear, 0.0),
        (0.0, 1.0, Scale::Linear, f64::NAN),
        (0.0, 1.0, Scale::Linear, 1e-300),
        (1.0, 2.0, Scale::Log, 1.0),
        (1.0, 2.0, Scale::Log, 0.5),
    ] {
        let said = message(stepped(low, high, scale, step));
        assert!(said.contains("is no step from"), "{said}");
    }
    insta::assert_snapshot!(message(Domain::Category { choices: Vec::new() }), @"`choices` is empty: name at least one");
    insta::assert_snapshot!(message(Domain::Category { choices: vec!["a".into(), "a".into()] }), @r#"the choice "a" is given twice"#);
    assert!(float(f64::NAN, 1.0, Scale::Linear).check().is_err());
    assert!(float(-f64::MAX, f64::MAX, Scale::Linear).check().is_err());
}

/// A value that a legal domain samples and one that it makes of it; both lie within it.
fn drawn_within(domain: &Domain, seed: u64) -> Result<(Value, Value), TestCaseError> {
    prop_assert!(domain.check().is_ok());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let value = domain.sample(&mut rng);
    prop_assert_eq!(domain.clamp(&value), Some(value.clone()));
    let mutated = domain.mutate(&value, &mut rng);
    prop_assert_eq!(domain.clamp(&mutated), Some(mutated.clone()));
    Ok((value, mutated))
}

proptest! {
    #[test]
    fn any_legal_range_of_integers_holds_what_it_samples(
        low in -1000_i64..1000, extent in 0_i64..1_000_000, step in 1_i64..100, seed: u64,
    ) {
        let domain = Domain::Integer { low, high: low + extent, scale: Scale::Linear, step };
        let (value, mutated) = drawn_within(&domain, seed)?;
        prop_assert_eq!(mutated != value, domain.is_free());
    }

    #[test]
    fn any_legal_range_with_steps_holds_what_it_samples(
        low in 1e-9_f64..1e6, ratio in 1.0_f64..1e3, steps in 0.5_f64..200.0, log: bool, seed: u64,
    ) {
        let (scale, high) = (if log { Scale::Log } else { Scale::Linear }, low * ratio);
        let step = match scale {
            Scale::Log => ratio.powf(1.0 / steps).max(1.0 + 1e-9),
            Scale::Linear => ((high - low) / steps).max(low * 1e-9),
        };
        let domain = stepped(low, high, scale, step);
        let (value, mutated) = drawn_within(&domain, seed)?;
        prop_assert_eq!(mutated != value, domain.is_free());
    }

    #[test]
    fn any_legal_range_of_floats_holds_what_it_samples(
        low in 1e-12_f64..1e6, ratio in 1.0_f64..1e6, log: bool, seed: u64,
    ) {
        let scale = if log { Scale::Log } else { Scale::Linear };
        let domain = Domain::Float { low, high: low * ratio, scale };
        drawn_within(&domain, seed)?;
    }
}

#[test]
fn the_share_of_a_value_is_where_it_lies_between_the_ends() {
    let shares = [32, 64, 256].map(|rows_of_a_step| rows().share(&Value::Integer(rows_of_a_step)));
    assert_eq!(shares, [0.0, 1.0 / 3.0, 1.0]);
    assert!((rate().share(&Value::Float(3e-3)) - 0.5).abs() < 1e-12);
    let choices = ["a", "b", "c"].map(str::to_string).to_vec();
    let names = Domain::Category { choices };
    let shares = ["a", "b", "c"].map(|name| names.share(&Value::Category(name.to_string())));
    assert_eq!(shares, [0.0, 0.5, 1.0]);
    let alone = Domain::Category {
        choices: vec!["a".to_string()],
    };
    assert_eq!(alone.share(&Value::Category("a".to_string())), 0.0);
}
