//! Where a value lies on a drawing, and which values are written at the axes.

/// Maps values to places in a drawing, linearly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Values from `low` to `high`, placed from `start` to `end`; an empty range is widened.
    pub(crate) fn new(low: f64, high: f64, start: f64, end: f64) -> Scale {
        if high > low {
            return Scale {
                low,
                high,
                start,
                end,
            };
        }
        let margin = if low == 0.0 { 0.5 } else { low.abs() * 0.05 };
        Scale {
            low: low - margin,
            high: low + margin,
            start,
            end,
        }
    }

    /// Where this value lies; outside of the range it lies at its nearer end.
    pub(crate) fn at(self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// Whether this value lies within the range.
    pub(crate) fn holds(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Where the first value lies.
    pub(crate) fn start(self) -> f64 {
        self.start
    }

    /// Where the last value lies.
    pub(crate) fn end(self) -> f64 {
        self.end
    }

    /// Round values within the range, at most so many.
    pub(crate) fn ticks(self, count_max: usize) -> Vec<Tick> {
        let step = round_step((self.high - self.low) / count_max as f64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|index| index as f64 * step)
            .map(|value| Tick {
                place: self.at(value),
                label: format!("{value:.decimals$}"),
            })
            .collect()
    }

    /// 1, 2 and 5 times each power of ten within the range, where the values are logarithms of these.
    pub(crate) fn decade_ticks(self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let powers = (self.low.floor() as i32..=self.high.floor() as i32).map(|p| 10_f64.powi(p));
        powers
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power))
            .filter(|value| self.holds(value.log10()))
            .map(|value| Tick {
                place: self.at(value.log10()),
                label: label(value),
            })
            .collect()
    }

    /// Round times within the range, at most so many; values are seconds.
    pub(crate) fn time_ticks(self, count_max: usize) -> Vec<Tick> {
        let least = (self.high - self.low) / count_max as f64;
        let step = TIME_STEPS.into_iter().find(|step| *step >= least);
        // Beyond the largest step: whole days.
        let step = step.unwrap_or_else(|| (least / DAY).ceil() * DAY);
        let (unit, name) = match step {
            step if step < 60.0 => (1.0, "s"),
            step if step < 3600.0 => (60.0, "min"),
            _ => (3600.0, "h"),
        };
        let count = ((self.high / step) + 1e-9).floor() as usize;
        (0..=count)
            .map(|index| index as f64 * step)
            .filter(|value| self.holds(*value))
            .map(|value| Tick {
                place: self.at(value),
                label: format!("{} {name}", value / unit),
            })
            .collect()
    }
}

/// The least and the greatest of these values; of none, the wrong way round.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// A value that is written at an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Where.
    pub(crate) place: f64,
    /// What is written there.
    pub(crate) label: String,
}

const DAY: f64 = 86_400.0;

/// Steps that people read times in: all parts of a minute, an hour or a day.
const TIME_STEPS: [f64; 18] = [
    0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    21_600.0, 43_200.0, DAY,
];

/// The smallest of 1, 2, 5 times a power of ten that is at least this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|step| step * power >= least * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let scale = Scale::new(0.713, 0.989, 0.0, 100.0);
        let ticks = scale.ticks(6);
        assert_eq!(labels(&ticks), ["0.75", "0.80", "0.85", "0.90", "0.95"]);
        assert!(ticks.iter().all(|tick| (0.0..=100.0).contains(&tick.place)));
    }

    #[test]
    fn ticks_pass_through_zero_and_large_numbers() {
        assert_eq!(
            labels(&Scale::new(-1.0, 1.0, 0.0, 1.0).ticks(4)),
            ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
        );
        assert_eq!(
            labels(&Scale::new(0.0, 41_000.0, 0.0, 1.0).ticks(5)),
            ["0", "10000", "20000", "30000", "40000"]
        );
    }

    #[test]
    fn times_are_written_in_the_unit_that_fits() {
        assert_eq!(
            labels(&Scale::new(0.0, 90.0, 0.0, 1.0).time_ticks(6)),
            ["0 s", "15 s", "30 s", "45 s", "60 s", "75 s", "90 s"]
        );
        assert_eq!(
            labels(&Scale::new(0.0, 600.0, 0.0, 1.0).time_ticks(6)),
            ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]
        );
        assert_eq!(
            labels(&Scale::new(0.0, 9000.0, 0.0, 1.0).time_ticks(3)),
            ["0 h", "1 h", "2 h"]
        );
        assert_eq!(
            labels(&Scale::new(0.0, 0.9, 0.0, 1.0).time_ticks(3)),
            ["0 s", "0.5 s"]
        );
    }

    #[test]
    fn a_value_outside_lies_at_the_edge_and_an_empty_range_has_a_middle() {
        let scale = Scale::new(0.0, 1.0, 100.0, 0.0);
        assert_eq!(
            (scale.at(-5.0), scale.at(5.0), scale.at(0.25)),
            (100.0, 0.0, 75.0)
        );
        let empty = Scale::new(0.4, 0.4, 0.0, 10.0);
        assert!((empty.at(0.4) - 5.0).abs() < 1e-9 && !empty.ticks(4).is_empty());
        assert!(!Scale::new(0.0, 0.0, 0.0, 10.0).ticks(4).is_empty());
    }
}
