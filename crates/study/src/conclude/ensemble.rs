//! Finished trials that answer together as one model, where that was asked for: chosen one by one by the
//! validation rows, exported like the winner, and scored beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::RangeInclusive,
    path::Path,
};

use data::Examples;
use morph::{Architecture, Cost};
use search::{Limits, TrialId};
use serde::{Deserialize, Serialize};
use train::{
    Calibration, Metric, Weights,
    ensemble::{Member, side_by_side, weighed},
    evaluate_weighted, loss_weighted,
};

use super::{
    ConcludeError, Ground,
    export::Exporter,
    members_of,
    scores::{Contender, Difference, Scored, Standing},
};
use crate::{
    certificate::{Certificate, ROWS_MAX},
    config::StudyConfig,
    folder::StudyFolder,
    latency::measured_latency,
    model::{EnsembleMember, Model, ModelError},
    setup::network_limits,
    trial::{Trial, TrialResult},
};

/// How many members may be asked for.
pub const MEMBERS: RangeInclusive<u8> = 2..=20;

/// Trials that may become members: those with the least losses.
const CANDIDATES_MAX: usize = *MEMBERS.end() as usize;

/// How often a member is added, the same one several times if that is best.
const ROUNDS: usize = 30;

/// Validation rows that choose; of more, so many spread evenly over them.
const CHOOSING_ROWS_MAX: usize = 20_000;

/// Bytes of all candidates' outputs together, …
const OUTPUT_BYTES_MAX: u64 = 256 << 20;

/// … and operations that computing them may take, as far as there are two candidates.
const WORK_MAX: u64 = 2_000_000_000_000;

/// What became of the wish for an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ensemble {
    /// No two trials had less loss together than the best one alone, on the validation rows and within the
    /// limits.
    NoneBetter {
        /// Trials that were tried.
        tried: usize,
    },
    /// It lies beside the winner.
    Made(Box<EnsembleMade>),
}

/// An ensemble beside the winner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleMade {
    /// Who answers, the one that counts most first.
    pub members: Vec<EnsembleMember>,
    /// Its scores; the validation rows have chosen the members, so that score flatters.
    pub scored: Scored,
    /// By how much it is better than the winner on the vault, row by row. Absent without a vault.
    pub better_by: Option<Difference>,
    /// Size of all members together.
    #[serde(skip, default = "super::no_cost")]
    pub cost: Cost,
    /// Seconds of the forward pass of one example.
    pub latency_seconds: f64,
    /// What its ONNX file was found to do; absent if there is none.
    pub certificate: Option<Certificate>,
}

/// What was found, before anything is scored on the vault.
pub(super) enum Together {
    /// It was not asked for.
    NotAsked,
    /// So many trials were tried.
    NoneBetter(usize),
    /// It is written, with its certificate.
    Found(Box<Found>, Option<Certificate>),
}

/// An ensemble that was found.
pub(super) struct Found {
    model: Model,
    /// The metric on the validation rows.
    validation: Option<f64>,
}

/// Chooses the ensemble that was asked for, if it was, and writes it; where none is found, what an earlier end
/// of the study has left goes.
///
/// # Errors
/// If weights are damaged, or a file cannot be written.
pub(super) fn ensemble(
    folder: &StudyFolder,
    config: &StudyConfig,
    ground: &Ground,
    trials: &[Trial],
    exporter: &mut Exporter,
) -> Result<Together, ConcludeError> {
    let place = folder.ensemble();
    let Some(members_max) = config.ensemble else {
        return Ok(Together::NotAsked);
    };
    let (found, tried) = find(ground, folder, config, trials, usize::from(members_max))?;
    let Some(found) = found else {
        remove(&place)?;
        return Ok(Together::NoneBetter(tried));
    };
    fs::create_dir_all(&place).map_err(ConcludeError::unwritten(&place))?;
    found.model.save(&place)?;
    let certificate = exporter.write(&found.model, &place, ROWS_MAX)?;
    Ok(Together::Found(Box::new(found), certificate))
}

/// A trial with what its networks put out for the validation rows.
struct Candidate<'a> {
    trial: &'a Trial,
    calibration: Calibration,
    told: Vec<f32>,
}

/// Chooses an ensemble of at most so many trials. Nothing is found if none is better than the best trial;
/// the second value is how many trials were tried.
///
/// # Errors
/// If weights are damaged, or a network cannot be built.
/// # Cost
/// A pass of each candidate over the validation rows, and at most 30 · 20 losses of 20,000 rows; where the latency is
/// limited, a measurement of each set that was about to answer, at most 190.
fn find(
    ground: &Ground,
    folder: &StudyFolder,
    config: &StudyConfig,
    trials: &[Trial],
    members_max: usize,
) -> Result<(Option<Found>, usize), ConcludeError> {
    let candidates = candidates(ground, folder, trials)?;
    let rows = chosen_rows(ground.validation.len());
    let part = ground.validation.chosen(&rows);
    let width = ground.outputs();
    // Members are chosen on the scale of calibrated probabilities.
    let outputs: Vec<Vec<f32>> = candidates
        .iter()
        .map(|candidate| {
            let told = rows_of(&candidate.told, &rows, width);
            candidate.calibration.scaled(&told)
        })
        .collect();
    let lack_of = |outputs: &[f32]| lack_on(&part, outputs, ground.metric, ground.scale);
    let limits = network_limits(config.search.limits, &ground.preprocessor);
    let mut may_answer = |members: &BTreeSet<usize>| {
        members.len() <= members_max && is_within(&limits, members, &candidates, ground)
    };
    let counts = choose(&outputs, &lack_of, &mut may_answer);
    let tried = candidates.len();
    if counts.iter().filter(|count| **count > 0).count() < 2 {
        return Ok((None, tried));
    }
    let found = join(ground, folder, &candidates, &counts)?;
    Ok((Some(found), tried))
}

/// The trials with the least losses of those whose weights are there.
fn candidates<'a>(
    ground: &Ground,
    folder: &StudyFolder,
    trials: &'a [Trial],
) -> Result<Vec<Candidate<'a>>, ConcludeError> {
    let mut finished: Vec<(&Trial, &TrialResult)> = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.result()?)))
        .collect();
    let lack = |result: &TrialResult| lack(ground.metric, result.loss, &result.metrics);
    finished.sort_by(|(_, a), (_, b)| lack(a).total_cmp(&lack(b)));
    let rows = ground.validation.len() as u64;
    let bytes = rows * ground.outputs() as u64 * size_of::<f32>() as u64;
    let most = (OUTPUT_BYTES_MAX / bytes.max(1)).clamp(2, CANDIDATES_MAX as u64) as usize;
    let mut found: Vec<Candidate<'a>> = Vec::new();
    let mut work = 0_u64;
    for (trial, _) in finished {
        let own = trial
            .candidate
            .architecture
            .cost()
            .flops
            .saturating_mul(rows);
        work = work.saturating_add(own);
        if found.len() >= most || (found.len() >= 2 && work > WORK_MAX) {
            break;
        }
        let told = match ground.told(folder, trial) {
            Ok((_, outputs)) => outputs,
            // Of a long study only the best weights are kept, and these may have been cleaned away.
            Err(error) if error.is_missing() => continue,
            Err(error) => return Err(error),
        };
        found.push(Candidate {
            trial,
            // Of numbers it does nothing.
            calibration: ground.calibration_of(&told),
            told,
        });
    }
    Ok(found)
}

/// What is to be small: the loss, which tells more from few rows than what counts right and wrong does. Of the
/// metrics of numbers only the mean absolute error is another order than the squared one's.
fn lack(metric: Metric, loss: f64, metrics: &BTreeMap<Metric, f64>) -> f64 {
    match metric {
        Metric::Mae => metrics.get(&metric).copied().unwrap_or(f64::INFINITY),
        _ => loss,
    }
}

/// What is lacking where this is said of some rows. Metrics, of which one sorts the rows once for each class, are
/// computed only where one is asked for.
fn lack_on(rows: &Examples, outputs: &[f32], metric: Metric, scale: f64) -> f64 {
    let (targets, weights) = (rows.targets(), rows.weights());
    match metric {
        Metric::Mae => {
            let found = evaluate_weighted(outputs, targets, weights, scale);
            lack(metric, found.loss, &found.metrics)
        }
        _ => loss_weighted(outputs, targets, weights),
    }
}

/// Rows that choose members: all, or some spread evenly.
fn chosen_rows(rows: usize) -> Vec<u32> {
    let some = rows.min(CHOOSING_ROWS_MAX);
    (0..some)
        .map(|index| (index * rows / some) as u32)
        .collect()
}

fn rows_of(outputs: &[f32], rows: &[u32], width: usize) -> Vec<f32> {
    let row = |row: &u32| &outputs[*row as usize * width..][..width];
    rows.iter().flat_map(row).copied().collect()
}

/// Whether these trials together are no larger or slower than any network of the study may be.
///
/// How much memory a trainer may take does not matter: nothing is trained.
fn is_within(
    limits: &Limits,
    members: &BTreeSet<usize>,
    candidates: &[Candidate<'_>],
    ground: &Ground,
) -> bool {
    let of_each = ground.folds.networks();
    let networks: Vec<&Architecture> = members
        .iter()
        .map(|member| &candidates[*member].trial.candidate.architecture)
        .flat_map(|architecture| std::iter::repeat_n(architecture, of_each))
        .collect();
    let Ok(together) = side_by_side(&networks) else {
        return false;
    };
    let asked = Limits {
        memory_bytes: None,
        ..*limits
    };
    let setting = &candidates[0].trial.candidate.setting;
    let is_fast = || match asked.latency_micros {
        None => true,
        Some(most) => measured_latency(&together).is_ok_and(|took| took * 1e6 <= most as f64),
    };
    asked.allow(&together, setting) && is_fast()
}

/// How often each candidate answers in the mean that was found to lack least.
///
/// Begins with nobody and adds, again and again, whoever leaves the mean of all added so far the least lack, the
/// same candidate several times if need be. The best of all means on the way is taken, the shorter of equal ones.
///
/// # Shapes
/// `outputs: [candidates][rows · width]`.
/// # Source
/// Caruana et al. 2004, sections 2 and 2.1; what is lacking is the loss: decision 0030.
fn choose(
    outputs: &[Vec<f32>],
    lack_of: &dyn Fn(&[f32]) -> f64,
    may_answer: &mut dyn FnMut(&BTreeSet<usize>) -> bool,
) -> Vec<u32> {
    let mut counts = vec![0_u32; outputs.len()];
    let mut best: Option<(f64, Vec<u32>)> = None;
    let mut sum = vec![0.0_f32; outputs.first().map_or(0, Vec::len)];
    // Nobody is asked about twice: every round tries the same sets again, and an answer may take a measurement.
    let mut answers: BTreeMap<BTreeSet<usize>, bool> = BTreeMap::new();
    for round in 1..=ROUNDS {
        let mean_with = |candidate: &Vec<f32>| -> Vec<f32> {
            let both = sum.iter().zip(candidate);
            both.map(|(sum, output)| (sum + output) / round as f32)
                .collect()
        };
        let mut ranked: Vec<(usize, f64)> = outputs
            .iter()
            .map(|candidate| lack_of(&mean_with(candidate)))
            .enumerate()
            .collect();
        // A stable sort: of equal ones the better trial is the earlier.
        ranked.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let members: BTreeSet<usize> = (0..counts.len()).filter(|at| counts[*at] > 0).collect();
        let added = ranked.into_iter().find(|(candidate, _)| {
            // One alone is a trial, which was allowed when it was proposed.
            members.contains(candidate) || members.is_empty() || {
                let with: BTreeSet<usize> = members.iter().copied().chain([*candidate]).collect();
                let known = answers.get(&with).copied();
                known.unwrap_or_else(|| {
                    let may = may_answer(&with);
                    answers.insert(with, may);
                    may
                })
            }
        });
        let Some((candidate, reached)) = added else {
            break;
        };
        counts[candidate] += 1;
        for (sum, output) in sum.iter_mut().zip(&outputs[candidate]) {
            *sum += output;
        }
        if best.as_ref().is_none_or(|(best, _)| reached < *best) {
            best = Some((reached, counts.clone()));
        }
    }
    best.map_or(counts, |(_, counts)| counts)
}

/// The chosen trials as one model, calibrated as every other.
fn join(
    ground: &Ground,
    folder: &StudyFolder,
    candidates: &[Candidate<'_>],
    counts: &[u32],
) -> Result<Found, ConcludeError> {
    let total: u32 = counts.iter().sum();
    let mut chosen: Vec<(&Candidate<'_>, f64)> = candidates
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(candidate, count)| (candidate, f64::from(*count) / f64::from(total)))
        .collect();
    chosen.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let calibrated: Vec<(f64, Calibration)> = chosen
        .iter()
        .map(|(candidate, share)| (*share, candidate.calibration))
        .collect();
    let factors = factors(&calibrated);
    let told: Vec<&[f32]> = chosen
        .iter()
        .map(|(candidate, _)| candidate.told.as_slice())
        .collect();
    let outputs = joined(&told, &factors);
    let (targets, weights) = (ground.validation.targets(), ground.validation.weights());
    // As every trial was scored: by what its network puts out, not by a calibration that was fitted on these very
    // rows, whose offset says a rare class less often than the network does.
    let evaluation = evaluate_weighted(&outputs, targets, weights, ground.scale);
    let calibration = ground.calibration_of(&outputs);
    Ok(Found {
        validation: evaluation.metrics.get(&ground.metric).copied(),
        model: model_of(ground, folder, &chosen, &factors, calibration)?,
    })
}

/// What each member's outputs are multiplied by before the joined network adds them up: as its share of the mean of
/// calibrated outputs asks, and 1 in all, so that the sum lies where the outputs of a single network do.
///
/// # Shapes
/// `[members]`, shares with calibrations; returns `[members]`.
fn factors(members: &[(f64, Calibration)]) -> Vec<f64> {
    let divided = |(share, calibration): &(f64, Calibration)| share / calibration.temperature();
    let sum: f64 = members.iter().map(divided).sum();
    members.iter().map(|member| divided(member) / sum).collect()
}

/// What the network puts out that joins others with these factors.
///
/// # Shapes
/// `told: [members][rows · width]`, `factors: [members]`; returns `[rows · width]`.
fn joined(told: &[&[f32]], factors: &[f64]) -> Vec<f32> {
    let mut outputs = vec![0.0_f32; told.first().map_or(0, |told| told.len())];
    for (told, factor) in told.iter().zip(factors) {
        for (sum, output) in outputs.iter_mut().zip(*told) {
            *sum += *factor as f32 * output;
        }
    }
    outputs
}

fn model_of(
    ground: &Ground,
    folder: &StudyFolder,
    chosen: &[(&Candidate<'_>, f64)],
    factors: &[f64],
    calibration: Calibration,
) -> Result<Model, ConcludeError> {
    let networks: Vec<Vec<Weights>> = chosen
        .iter()
        .map(|(candidate, _)| members_of(folder, candidate.trial))
        .collect::<Result<_, _>>()?;
    let members: Vec<Member<'_>> = chosen
        .iter()
        .zip(factors)
        .zip(&networks)
        .flat_map(|(((candidate, _), factor), networks)| {
            let share = factor / networks.len() as f64;
            networks.iter().map(move |weights| Member {
                architecture: &candidate.trial.candidate.architecture,
                weights,
                share: share as f32,
            })
        })
        .collect();
    let heaviest = chosen[0].0.trial;
    let network = weighed(&members).map_err(|source| ConcludeError::Members {
        trial: heaviest.id,
        source,
    })?;
    let named = |(candidate, share): &(&Candidate<'_>, f64)| EnsembleMember {
        trial: candidate.trial.id,
        share: *share,
    };
    let members = chosen.iter().map(named).collect();
    Ok(ground.model(heaviest, members, network, calibration))
}

impl Found {
    /// As it is scored beside the winner.
    pub(super) fn contender(&self, ground: &Ground) -> Result<Contender, ModelError> {
        Ok(Contender {
            name: format!("an ensemble of {} trials", self.model.card.members.len()),
            about: String::new(),
            validation: self.validation,
            vault: self.model.outputs(&ground.vault)?,
            calibration: self.model.card.calibration,
        })
    }
}

impl Together {
    /// What is told of it. Where one was found it stood last among those that were scored, and is taken out:
    /// it is no simple model that the winner has to beat.
    pub(super) fn judged(
        self,
        standing: &mut Standing,
        metric: Metric,
    ) -> Result<Option<Ensemble>, ModelError> {
        let (found, certificate) = match self {
            Together::NotAsked => return Ok(None),
            Together::NoneBetter(tried) => return Ok(Some(Ensemble::NoneBetter { tried })),
            Together::Found(found, certificate) => (found, certificate),
        };
        let better_by = standing.better_by(standing.scored.len() - 1, 0, metric);
        let scored = standing.scored.pop();
        let card = found.model.card;
        Ok(Some(Ensemble::Made(Box::new(EnsembleMade {
            scored: scored.expect("the ensemble was scored"),
            better_by,
            cost: card.architecture.cost(),
            latency_seconds: measured_latency(&card.architecture)?,
            certificate,
            members: card.members,
        }))))
    }
}

fn remove(place: &Path) -> Result<(), ConcludeError> {
    match fs::remove_dir_all(place) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ConcludeError::unwritten(place)(source))
        }
        _ => Ok(()),
    }
}

/// Which trials answer, and how much each counts, in a line.
pub fn members_in_words(members: &[EnsembleMember]) -> String {
    let said = |member: &EnsembleMember| {
        let TrialId(trial) = member.trial;
        format!("{trial} ({:.0} %)", member.share * 100.0)
    };
    members.iter().map(said).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use data::{ItemShape, Targets};
    use proptest::prelude::*;
    use train::Evaluation;

    use super::*;

    /// The nearer to all zeros the better.
    fn near_zero(outputs: &[f32]) -> f64 {
        outputs.iter().map(|value| f64::from(value * value)).sum()
    }

    fn everybody(_: &BTreeSet<usize>) -> bool {
        true
    }

    #[test]
    fn two_that_err_in_opposite_ways_are_better_than_the_best_alone() {
        let outputs = [vec![1.0, 1.0], vec![1.2, 0.9], vec![-1.1, -1.1]];
        let counts = choose(&outputs, &near_zero, &mut everybody);
        assert!(counts[0] + counts[1] > 0 && counts[2] > 0, "{counts:?}");
        let shares: Vec<f32> = counts.iter().map(|count| *count as f32).collect();
        let total: f32 = shares.iter().sum();
        let mean = |place: usize| -> f32 {
            (0..3)
                .map(|at| shares[at] * outputs[at][place])
                .sum::<f32>()
                / total
        };
        assert!(near_zero(&[mean(0), mean(1)]) < near_zero(&outputs[0]));
    }

    #[test]
    fn one_that_is_right_stays_alone() {
        let outputs = [vec![0.0, 0.0], vec![1.0, -1.0]];
        let counts = choose(&outputs, &near_zero, &mut everybody);
        assert_eq!(counts, [1, 0]);
    }

    #[test]
    fn whoever_may_not_answer_with_others_does_not() {
        let outputs = [vec![1.0], vec![-1.0], vec![-3.0]];
        let mut not_the_second = |members: &BTreeSet<usize>| !members.contains(&1);
        let counts = choose(&outputs, &near_zero, &mut not_the_second);
        assert_eq!(counts, [3, 0, 1]);
        let mut nobody = |_: &BTreeSet<usize>| false;
        assert_eq!(choose(&outputs, &near_zero, &mut nobody), [1, 0, 0]);
    }

    #[test]
    fn nobody_is_asked_about_twice() {
        let outputs = [vec![1.0], vec![-1.0], vec![-3.0]];
        let mut asked: Vec<BTreeSet<usize>> = Vec::new();
        let mut nobody = |members: &BTreeSet<usize>| {
            asked.push(members.clone());
            false
        };
        choose(&outputs, &near_zero, &mut nobody);
        assert_eq!(asked, [BTreeSet::from([0, 1]), BTreeSet::from([0, 2])]);
    }

    #[test]
    fn absolute_errors_are_asked_for_by_name_and_all_else_is_as_good_as_its_loss() {
        let metrics = BTreeMap::from([(Metric::Accuracy, 0.9), (Metric::Mae, 3.0)]);
        assert_eq!(lack(Metric::Accuracy, 0.2, &metrics), 0.2);
        assert_eq!(lack(Metric::Mae, 0.2, &metrics), 3.0);
        let values = Targets::Values(vec![1.0, 3.0]);
        let rows = Examples::from_floats(ItemShape::Features(1), vec![0.0; 2], values);
        assert_eq!(lack_on(&rows, &[0.0, 0.0], Metric::Mae, 10.0), 20.0);
        assert_eq!(lack_on(&rows, &[0.0, 0.0], Metric::Rmse, 10.0), 5.0);
    }

    #[test]
    fn equal_members_together_score_as_each_does_alone_also_where_a_class_is_rare() {
        // Seven to one, and a network that was trained as if both were as common.
        let ids: Vec<u32> = (0..800).map(|row| u32::from(row % 8 == 0)).collect();
        let logits = |(row, id): (usize, &u32)| {
            let share = ((row / 8) as f32 + 0.5) / 100.0;
            [0.0, 2.0 * *id as f32 - 1.0 + (share / (1.0 - share)).ln()]
        };
        let told: Vec<f32> = ids.iter().enumerate().flat_map(logits).collect();
        let targets = Targets::Classes { ids, count: 2 };
        let evaluated = |outputs: &[f32]| evaluate_weighted(outputs, &targets, None, 1.0);
        let alone = evaluated(&told);
        let metric = Metric::BalancedAccuracy;
        let calibration = Calibration::fit(&told, &targets, None, metric);
        for members in 1..4 {
            let share = 1.0 / members as f64;
            let factors = factors(&vec![(share, calibration); members]);
            assert!((factors.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let together = evaluated(&joined(&vec![&told[..]; members], &factors));
            let score = |found: &Evaluation| found.metrics[&metric];
            assert!((score(&together) - score(&alone)).abs() < 1e-9);
            assert!((together.loss - alone.loss).abs() < 1e-5);
        }
        // As probabilities the rare class is hardly ever the more probable one.
        let probable = evaluated(&calibration.scaled(&told)).metrics[&metric];
        assert!(probable < alone.metrics[&metric] - 0.1, "{probable}");
    }

    #[test]
    fn who_was_too_sure_counts_less_before_the_outputs_are_added_up() {
        let of = |temperature: f64| Calibration::new(temperature, 0.5).unwrap();
        let factors = factors(&[(0.75, of(3.0)), (0.25, of(1.0))]);
        assert_eq!(factors, [0.5, 0.5]);
        assert_eq!(joined(&[&[4.0, 8.0], &[0.0, 4.0]], &factors), [2.0, 6.0]);
    }

    #[test]
    fn rows_that_choose_are_spread_over_all() {
        assert_eq!(chosen_rows(3), [0, 1, 2]);
        let some = chosen_rows(3 * CHOOSING_ROWS_MAX);
        assert_eq!(some.len(), CHOOSING_ROWS_MAX);
        assert_eq!(
            (some[1], some[CHOOSING_ROWS_MAX - 1]),
            (3, 3 * CHOOSING_ROWS_MAX as u32 - 3)
        );
        assert!(chosen_rows(0).is_empty());
    }

    /// The same rule, each mean made anew from all that were added.
    fn chosen_slowly(outputs: &[Vec<f32>]) -> Vec<u32> {
        let mut added: Vec<usize> = Vec::new();
        let mut best: Option<(f64, Vec<usize>)> = None;
        for _ in 0..ROUNDS {
            let mut next: Option<(f64, usize)> = None;
            for candidate in 0..outputs.len() {
                let with: Vec<usize> = added.iter().copied().chain([candidate]).collect();
                let mean: Vec<f32> = (0..outputs[0].len())
                    .map(|at| {
                        let mut sum = 0.0_f32;
                        with.iter().for_each(|member| sum += outputs[*member][at]);
                        sum / with.len() as f32
                    })
                    .collect();
                let reached = near_zero(&mean);
                if next.as_ref().is_none_or(|(other, _)| reached < *other) {
                    next = Some((reached, candidate));
                }
            }
            let (reached, candidate) = next.unwrap();
            added.push(candidate);
            if best.as_ref().is_none_or(|(other, _)| reached < *other) {
                best = Some((reached, added.clone()));
            }
        }
        let (_, members) = best.unwrap();
        let count = |at: usize| members.iter().filter(|member| **member == at).count() as u32;
        (0..outputs.len()).map(count).collect()
    }

    proptest! {
        #[test]
        fn the_choice_is_that_of_the_slow_rule(
            outputs in prop::collection::vec(prop::collection::vec(-4i8..5, 3), 1..6)
        ) {
            let outputs: Vec<Vec<f32>> = outputs
                .iter()
                .map(|row| row.iter().map(|value| f32::from(*value) / 4.0).collect())
                .collect();
            prop_assert_eq!(choose(&outputs, &near_zero, &mut everybody), chosen_slowly(&outputs));
        }
    }
}
