//! A recorded table: every model of a small space, and how each was scored.
//!
//! A model is a [`Point`]: a level for each slot. The first slots make its architecture, the others its
//! hyperparameters. Points whose architectures are equal as graphs and whose hyperparameters are equal are
//! one model: its score is the mean over their rows, as if they were further seeds.

mod fcnet;
mod hpobench;
mod models;
mod nasbench201;
mod nasbench_macro;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use data::DataError;
use morph::{Architecture, ArchitectureHash};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use search::{Domain, Parameter, Scale, Setting, Space, Value};
use thiserror::Error;

pub use models::TableModels;

/// Why there is no such table.
#[derive(Debug, Error)]
pub enum TableError {
    /// Its file cannot be read.
    #[error("the recorded table cannot be read")]
    File(#[from] DataError),
    /// Its file is not what it should be.
    #[error("{path} is not the recorded table it should be: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A name that no table has.
    #[error("there is no table `{name}`; there are {}", NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
}

/// All tables.
pub const NAMES: [&str; 11] = [
    "nasbench201-cifar10",
    "nasbench201-cifar100",
    "nasbench201-imagenet16-120",
    "nasbench-macro",
    "fcnet-parkinsons",
    "fcnet-slice",
    "hpobench-car",
    "hpobench-credit-g",
    "hpobench-kc1",
    "hpobench-phoneme",
    "hpobench-vehicle",
];

/// A model of a table: the level of each slot.
pub type Point = Vec<u8>;

/// One choice that a model is made by.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// What it is called.
    pub name: &'static str,
    /// How many levels it has.
    pub levels: u8,
    /// Whether neighbouring levels are alike.
    pub order: Order,
}

/// Whether levels that stand side by side are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Like numbers.
    Ordered,
    /// Like names.
    Unordered,
}

impl Slot {
    fn ordered(name: &'static str, levels: usize) -> Slot {
        Slot {
            name,
            levels: levels as u8,
            order: Order::Ordered,
        }
    }

    fn unordered(name: &'static str, levels: usize) -> Slot {
        Slot {
            name,
            levels: levels as u8,
            order: Order::Unordered,
        }
    }

    /// Another level: near the old one where there is an order, any other where there is none.
    pub fn moved(&self, from: u8, rng: &mut ChaCha8Rng) -> u8 {
        let domain = self.domain();
        level_of(&domain.mutate(&self.value(from), rng))
    }

    /// The slot as a hyperparameter.
    fn domain(&self) -> Domain {
        match self.order {
            Order::Ordered => Domain::Integer {
                low: 0,
                high: i64::from(self.levels) - 1,
                scale: Scale::Linear,
                step: 1,
            },
            Order::Unordered => Domain::Category {
                choices: (0..self.levels).map(|level| level.to_string()).collect(),
            },
        }
    }

    fn parameter(&self) -> Parameter {
        Parameter::new(self.name, self.domain(), None).expect("every slot is a legal domain")
    }

    fn value(&self, level: u8) -> Value {
        match self.order {
            Order::Ordered => Value::Integer(i64::from(level)),
            Order::Unordered => Value::Category(level.to_string()),
        }
    }
}

/// The level of each of these slots.
fn levels_in(slots: &[Slot], setting: &Setting) -> Point {
    let level = |slot: &Slot| {
        let value = setting.value(slot.name);
        level_of(value.expect("a setting of this table has all its slots"))
    };
    slots.iter().map(level).collect()
}

fn level_of(value: &Value) -> u8 {
    match value {
        Value::Integer(level) => *level as u8,
        Value::Category(level) => level.parse().expect("names are levels"),
        Value::Float(_) => unreachable!("no slot is a float"),
    }
}

/// What is recorded of a model. Scores are higher-is-better.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// What a search sees.
    pub score: f64,
    /// What it is judged by beside it: the test score where there is one, the same score otherwise.
    pub judged: f64,
}

/// A recorded table.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    slots: Vec<Slot>,
    architecture_slots: usize,
    /// Of each combination of the architecture's slots, the first one that is the same graph.
    class: Vec<u32>,
    /// One for each class, at the place of its first combination.
    architectures: Vec<Option<Architecture>>,
    by_hash: BTreeMap<ArchitectureHash, u32>,
    /// By class, then setting.
    records: Vec<Record>,
    settings: usize,
    space: Space,
    marks: Marks,
}

/// What a loader knows of a table.
struct Loaded {
    name: String,
    slots: Vec<Slot>,
    architecture_slots: usize,
    architecture: fn(&[u8]) -> Architecture,
    /// Of every point, the last slot running fastest.
    records: Vec<Record>,
}

impl Table {
    /// Reads a table by its name from a folder of recorded tables.
    ///
    /// # Errors
    /// If there is no such table, or its file is missing or wrong.
    pub fn read(folder: &Path, name: &str) -> Result<Table, TableError> {
        let unknown = || TableError::Unknown {
            name: name.to_string(),
        };
        let (family, part) = name.rsplit_once("nasbench201-").map_or_else(
            || name.split_once('-').ok_or_else(unknown),
            |(_, part)| Ok(("nasbench201", part)),
        )?;
        let loaded = match (NAMES.contains(&name), family) {
            (true, "nasbench201") => nasbench201::load(folder, part),
            (true, "nasbench") => nasbench_macro::load(folder),
            (true, "fcnet") => fcnet::load(folder, part),
            (true, "hpobench") => hpobench::load(folder, part),
            _ => Err(unknown()),
        }?;
        Ok(Table::new(loaded))
    }

    fn new(loaded: Loaded) -> Table {
        let Loaded {
            name,
            slots,
            architecture_slots,
            architecture,
            records,
        } = loaded;
        let (of_architecture, of_setting) = slots.split_at(architecture_slots);
        let combinations = count(of_architecture);
        let settings = count(of_setting);
        let mut by_hash = BTreeMap::new();
        let mut class = Vec::new();
        let mut architectures = Vec::new();
        for place in 0..combinations {
            let built = architecture(&levels_at(of_architecture, place));
            let first = *by_hash
                .entry(built.canonical_hash())
                .or_insert(place as u32);
            architectures.push((first == place as u32).then_some(built));
            class.push(first);
        }
        let records = pooled(&class, settings, &records);
        let different = (0..combinations).filter(|place| class[*place] as usize == *place);
        let different = different.flat_map(|place| &records[place * settings..][..settings]);
        let marks = Marks::of(&different.copied().collect::<Vec<Record>>());
        let parameters = of_setting.iter().map(Slot::parameter);
        let space = Space::new(parameters.collect()).expect("slots have names of their own");
        Table {
            name,
            slots,
            architecture_slots,
            class,
            architectures,
            by_hash,
            records,
            settings,
            space,
            marks,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The choices that its models are made by.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many different models there are.
    pub fn models(&self) -> usize {
        self.architectures.iter().flatten().count() * self.settings
    }

    /// What is recorded of a model.
    pub fn record(&self, point: &[u8]) -> Record {
        self.records[self.place(point)]
    }

    /// Points of the same place are the same model.
    pub fn place(&self, point: &[u8]) -> usize {
        let (architecture, setting) = point.split_at(self.architecture_slots);
        let (of_architecture, of_setting) = self.slots.split_at(self.architecture_slots);
        let class = self.class[place_of(of_architecture, architecture)];
        class as usize * self.settings + place_of(of_setting, setting)
    }

    /// Any point, all with the same chance.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Point {
        let levels = self
            .slots
            .iter()
            .map(|slot| rng.random_range(0..slot.levels));
        levels.collect()
    }

    /// What regrets are measured by.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The hyperparameters' space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// A point as the surrogate sees it.
    pub fn model(&self, point: &[u8]) -> (Architecture, Setting) {
        let (architecture, setting) = point.split_at(self.architecture_slots);
        let (of_architecture, of_setting) = self.slots.split_at(self.architecture_slots);
        let class = self.class[place_of(of_architecture, architecture)];
        let architecture = self.architectures[class as usize].clone();
        let named = of_setting.iter().zip(setting);
        let values = named.map(|(slot, level)| (slot.name.to_string(), slot.value(*level)));
        (
            architecture.expect("the first of a class has its architecture"),
            values.collect(),
        )
    }

    /// The first point that is this model.
    pub(crate) fn point(&self, architecture: &Architecture, setting: &Setting) -> Point {
        let (of_architecture, of_setting) = self.slots.split_at(self.architecture_slots);
        let class = self.by_hash[&architecture.canonical_hash()];
        let mut point = levels_at(of_architecture, class as usize);
        point.extend(levels_in(of_setting, setting));
        point
    }

    /// All slots as hyperparameters.
    pub(crate) fn whole_space(&self) -> Space {
        let parameters = self.slots.iter().map(Slot::parameter);
        Space::new(parameters.collect()).expect("slots have names of their own")
    }

    /// A point as a setting of all slots.
    pub(crate) fn setting_of(&self, point: &[u8]) -> Setting {
        let named = self.slots.iter().zip(point);
        named
            .map(|(slot, level)| (slot.name.to_string(), slot.value(*level)))
            .collect()
    }

    /// The point that a setting of all slots is.
    pub(crate) fn point_of(&self, setting: &Setting) -> Point {
        levels_in(&self.slots, setting)
    }

    /// How many slots make the architecture.
    pub(crate) fn architecture_slots(&self) -> usize {
        self.architecture_slots
    }
}

/// What regrets of a table are measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    /// The highest score.
    pub best: f64,
    /// The highest judged score.
    pub best_judged: f64,
    /// The score that half of the models reach.
    pub median: f64,
    /// The lowest score.
    pub worst: f64,
}

impl Marks {
    fn of(records: &[Record]) -> Marks {
        let sorted = |value: fn(&Record) -> f64| {
            let mut values: Vec<f64> = records.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (scores, judged) = (
            sorted(|record| record.score),
            sorted(|record| record.judged),
        );
        Marks {
            best: scores[scores.len() - 1],
            best_judged: judged[judged.len() - 1],
            median: scores[scores.len() / 2],
            worst: scores[0],
        }
    }
}

/// The mean over the points that are one model, at the place of the first of them.
fn pooled(class: &[u32], settings: usize, records: &[Record]) -> Vec<Record> {
    let mut sums = vec![Record::default(); records.len()];
    let mut counts = vec![0.0; records.len()];
    for (place, record) in records.iter().enumerate() {
        let first = class[place / settings] as usize * settings + place % settings;
        sums[first].score += record.score;
        sums[first].judged += record.judged;
        counts[first] += 1.0;
    }
    let mean = |(sum, count): (Record, &f64)| Record {
        score: sum.score / count.max(1.0),
        judged: sum.judged / count.max(1.0),
    };
    sums.into_iter().zip(&counts).map(mean).collect()
}

/// How many combinations of levels there are.
fn count(slots: &[Slot]) -> usize {
    slots.iter().map(|slot| usize::from(slot.levels)).product()
}

/// Place of a combination of levels, the last slot running fastest.
fn place_of(slots: &[Slot], levels: &[u8]) -> usize {
    let digits = slots.iter().zip(levels);
    digits.fold(0, |place, (slot, level)| {
        place * usize::from(slot.levels) + usize::from(*level)
    })
}

fn levels_at(slots: &[Slot], mut place: usize) -> Point {
    let mut levels = vec![0; slots.len()];
    for (slot, level) in slots.iter().zip(&mut levels).rev() {
        *level = (place % usize::from(slot.levels)) as u8;
        place /= usize::from(slot.levels);
    }
    levels
}

/// A small table whose best model is known, for tests.
#[cfg(test)]
pub(crate) mod made {
    use super::*;

    fn architecture(levels: &[u8]) -> Architecture {
        let width = 8 << levels[1];
        let layers = format!("dense {width} | relu | ").repeat(usize::from(levels[0]));
        let text = format!("in 4 | {layers}dense 2");
        text.parse().expect("every combination is a network")
    }

    /// Depth, width and two hyperparameters. The score is minus the distance to a place, and some noise
    /// that is the same every time. Without a hidden layer the width says nothing.
    pub(crate) fn table() -> Table {
        let slots = vec![
            Slot::ordered("depth", 4),
            Slot::ordered("width", 6),
            Slot::ordered("rate", 8),
            Slot::unordered("kind", 3),
        ];
        let record = |place: usize| {
            let levels = levels_at(&slots, place);
            let far = |slot: usize, best: f64| (f64::from(levels[slot]) - best).abs();
            let noise = (place as f64 * 0.618_033_988).fract() / 10.0;
            let kind = if levels[3] == 1 { 0.0 } else { 1.0 };
            let score = noise - far(0, 2.0) - far(1, 4.0) / 2.0 - far(2, 5.0) - kind;
            Record {
                score,
                judged: score - noise,
            }
        };
        let records = (0..count(&slots)).map(record).collect();
        Table::new(Loaded {
            name: "made".to_string(),
            slots,
            architecture_slots: 2,
            architecture,
            records,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_one_model_share_the_mean_of_their_records() {
        let table = made::table();
        // Without a hidden layer six widths are one: 6·3 + 1 architectures, 24 settings each.
        assert_eq!(table.models(), 19 * 24);
        let points: Vec<Point> = (0..6).map(|width| vec![0, width, 5, 1]).collect();
        let place = table.place(&points[0]);
        assert!(points.iter().all(|point| table.place(point) == place));
        let far: f64 = (0..6)
            .map(|width| f64::from(width) - 4.0)
            .map(f64::abs)
            .sum();
        let judged = table.record(&points[3]).judged;
        assert!((judged + 2.0 + far / 12.0).abs() < 1e-12, "{judged}");
    }

    #[test]
    fn every_point_comes_back_from_what_the_surrogate_sees() {
        let table = made::table();
        for place in 0..count(table.slots()) {
            let point = levels_at(table.slots(), place);
            let (architecture, setting) = table.model(&point);
            let back = table.point(&architecture, &setting);
            assert_eq!(table.place(&back), table.place(&point));
            assert_eq!(table.point_of(&table.setting_of(&point)), point);
        }
    }

    #[test]
    fn the_marks_are_those_of_the_sorted_records() {
        let table = made::table();
        let marks = table.marks();
        let all: Vec<f64> = (0..count(table.slots()))
            .map(|place| table.record(&levels_at(table.slots(), place)).score)
            .collect();
        assert_eq!(marks.best, all.iter().copied().fold(f64::MIN, f64::max));
        assert_eq!(marks.worst, all.iter().copied().fold(f64::MAX, f64::min));
        assert!(marks.worst < marks.median && marks.median < marks.best);
    }
}
