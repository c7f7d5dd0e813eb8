//! What a launcher has to do: the difference between what is wanted and what is there.
//!
//! Pure: from what is wanted, placed and doubted to what is started and stopped. Nobody remembers what was
//! started before; whoever asks again after a crash gets the rest of the same step.

use std::time::Duration;

use super::{Doubts, LaunchError, Launcher, Placed, PlacedState, StopHow};

/// More nodes than this are wanted by mistake.
pub const NODES_MAX: u32 = 10_000;

/// So many times in a row everything that was started may be gone at the next look.
const ROUNDS_MAX: u32 = 5;

/// No pause between two looks is longer.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// How many more are started.
    pub start: u32,
    /// Which ones are stopped, and how.
    pub stops: Vec<(Placed, StopHow)>,
}

/// Whether one that is placed is, or will be, of use.
fn is_alive(placed: &Placed, doubts: &Doubts) -> bool {
    reason_to_stop(placed, doubts).is_none() && placed.state != PlacedState::Ending
}

/// Why one is no use, as the way in which it is stopped.
fn reason_to_stop(placed: &Placed, doubts: &Doubts) -> Option<StopHow> {
    match &placed.state {
        PlacedState::Held { .. } => Some(StopHow::Now),
        PlacedState::Running { .. } if doubts.silent.contains(&placed.id) => Some(StopHow::Now),
        PlacedState::Running { node: Some(node) } if doubts.quarantined.contains(node) => {
            Some(StopHow::Gracefully)
        }
        PlacedState::Running { .. } | PlacedState::Waiting { .. } | PlacedState::Ending => None,
    }
}

/// What makes the number of living nodes the wanted one.
///
/// Those of no use are stopped and replaced. Of a surplus, those go first that wait, then those that
/// were started last: they have the least to lose.
pub fn reconcile(wanted: u32, placed: &[Placed], doubts: &Doubts) -> Step {
    let mut stops: Vec<(Placed, StopHow)> = placed
        .iter()
        .filter_map(|one| reason_to_stop(one, doubts).map(|how| (one.clone(), how)))
        .collect();
    let alive: Vec<&Placed> = placed.iter().filter(|one| is_alive(one, doubts)).collect();
    let wanted = usize::try_from(wanted.min(NODES_MAX)).unwrap_or(usize::MAX);
    let missing = wanted.saturating_sub(alive.len());
    let surplus = alive.len().saturating_sub(wanted);

    let (waiting, running): (Vec<&Placed>, Vec<&Placed>) = alive
        .into_iter()
        .partition(|one| matches!(one.state, PlacedState::Waiting { .. }));
    let dispensable = waiting.into_iter().rev().chain(running.into_iter().rev());
    stops.extend(
        dispensable
            .take(surplus)
            .map(|one| (one.clone(), StopHow::Gracefully)),
    );
    Step {
        start: u32::try_from(missing).unwrap_or(NODES_MAX),
        stops,
    }
}

/// How many of those placed are of use.
pub fn alive(placed: &[Placed], doubts: &Doubts) -> usize {
    placed.iter().filter(|one| is_alive(one, doubts)).count()
}

/// Does what a step says: stops first, so that machines are free for those that are started.
///
/// # Errors
/// What the engine says; the next look finds out what was done.
pub fn carry_out(
    launcher: &mut dyn Launcher,
    step: &Step,
    doubts: &Doubts,
) -> Result<(), LaunchError> {
    for how in [StopHow::Now, StopHow::Gracefully] {
        let stopped = step.stops.iter().filter(|(_, known)| *known == how);
        let stopped: Vec<Placed> = stopped.map(|(one, _)| one.clone()).collect();
        if !stopped.is_empty() {
            launcher.stop(&stopped, how)?;
        }
    }
    match step.start.try_into() {
        Ok(count) => launcher.start(count, &doubts.quarantined),
        Err(_) => Ok(()),
    }
}

/// How long replacements that die at once are replaced again.
///
/// A wrong path or an unreachable ledger ends every node in its first second; starting them for ever would
/// fill the engine's queue and its logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    rounds: u32,
    has_started: bool,
}

impl Patience {
    /// Notes what was found at a look, and what was started after it.
    pub fn note(&mut self, alive: usize, started: u32) {
        let is_lost = self.has_started && alive == 0;
        self.rounds = if is_lost { self.rounds + 1 } else { 0 };
        self.has_started = started > 0;
    }

    /// Whether everything that was started was gone so often that starting more is no use.
    pub fn is_exhausted(&self) -> bool {
        self.rounds >= ROUNDS_MAX
    }

    /// How long to wait until the next look: doubled with every round in vain.
    pub fn pause(&self, usual: Duration) -> Duration {
        let doubled = usual.saturating_mul(1 << self.rounds.min(ROUNDS_MAX));
        doubled.min(PAUSE_MAX.max(usual))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::launch::{NodeName, PlacedId};

    fn id(number: usize) -> PlacedId {
        format!("{number}_0").parse().unwrap()
    }

    fn node(number: u8) -> NodeName {
        format!("n{number}").parse().unwrap()
    }

    fn states() -> impl Strategy<Value = PlacedState> {
        let reason = || "Priority".to_string();
        prop_oneof![
            Just(PlacedState::Waiting { reason: reason() }),
            Just(PlacedState::Held { reason: reason() }),
            Just(PlacedState::Ending),
            (0u8..6).prop_map(|number| PlacedState::Running {
                node: Some(node(number))
            }),
            Just(PlacedState::Running { node: None }),
        ]
    }

    fn scenes() -> impl Strategy<Value = (Vec<Placed>, Doubts)> {
        let placed = prop::collection::vec(states(), 0..40).prop_map(|states| {
            let numbered = states.into_iter().enumerate();
            numbered
                .map(|(number, state)| Placed {
                    id: id(number),
                    state,
                })
                .collect::<Vec<_>>()
        });
        let quarantined = prop::collection::btree_set((0u8..6).prop_map(node), 0..3);
        let silent = prop::collection::btree_set((0usize..40).prop_map(id), 0..4);
        (placed, quarantined, silent).prop_map(|(placed, quarantined, silent)| {
            (
                placed,
                Doubts {
                    quarantined,
                    silent,
                },
            )
        })
    }

    /// What an engine that obeys at once has after a step.
    fn after(placed: &[Placed], step: &Step) -> Vec<Placed> {
        let stopped: BTreeSet<&PlacedId> = step.stops.iter().map(|(one, _)| &one.id).collect();
        let stay = placed
            .iter()
            .filter(|one| !stopped.contains(&one.id))
            .cloned();
        let fresh = (0..step.start as usize).map(|number| Placed {
            id: id(1000 + number),
            state: PlacedState::Waiting {
                reason: "None".to_string(),
            },
        });
        stay.chain(fresh).collect()
    }

    proptest! {
        #[test]
        fn after_a_step_as_many_live_as_are_wanted((placed, doubts) in scenes(), wanted in 0u32..50) {
            let step = reconcile(wanted, &placed, &doubts);
            let then = after(&placed, &step);
            prop_assert_eq!(alive(&then, &doubts), wanted as usize);
        }

        #[test]
        fn a_second_step_has_nothing_to_do((placed, doubts) in scenes(), wanted in 0u32..50) {
            let then = after(&placed, &reconcile(wanted, &placed, &doubts));
            prop_assert_eq!(reconcile(wanted, &then, &doubts), Step::default());
        }

        #[test]
        fn none_of_use_is_stopped_while_others_are_started((placed, doubts) in scenes(), wanted in 0u32..50) {
            let step = reconcile(wanted, &placed, &doubts);
            let useful = step.stops.iter().filter(|(one, _)| is_alive(one, &doubts)).count();
            prop_assert!(step.start == 0 || useful == 0, "{:?}", step);
        }

        #[test]
        fn none_that_runs_is_stopped_for_a_surplus_while_one_waits((placed, doubts) in scenes(), wanted in 0u32..50) {
            let step = reconcile(wanted, &placed, &doubts);
            let then = after(&placed, &Step { start: 0, ..step.clone() });
            let stopped_at_work = step.stops.iter().any(|(one, _)| {
                matches!(one.state, PlacedState::Running { .. }) && is_alive(one, &doubts)
            });
            let one_waits = then.iter().any(|one| matches!(one.state, PlacedState::Waiting { .. }));
            prop_assert!(!(stopped_at_work && one_waits));
        }

        #[test]
        fn one_is_stopped_once_and_never_while_it_is_leaving((placed, doubts) in scenes(), wanted in 0u32..50) {
            let step = reconcile(wanted, &placed, &doubts);
            let ids: BTreeSet<&PlacedId> = step.stops.iter().map(|(one, _)| &one.id).collect();
            prop_assert_eq!(ids.len(), step.stops.len());
            prop_assert!(step.stops.iter().all(|(one, _)| one.state != PlacedState::Ending));
        }

        #[test]
        fn nothing_of_use_is_left_on_a_quarantined_machine((placed, doubts) in scenes(), wanted in 0u32..50) {
            let then = after(&placed, &reconcile(wanted, &placed, &doubts));
            let remains = then.iter().any(|one| match &one.state {
                PlacedState::Running { node: Some(node) } => doubts.quarantined.contains(node),
                _ => false,
            });
            prop_assert!(!remains);
        }
    }

    #[test]
    fn a_silent_node_is_killed_and_a_quarantined_one_is_asked() {
        let running = |number, at| Placed {
            id: id(number),
            state: PlacedState::Running {
                node: Some(node(at)),
            },
        };
        let placed = [running(0, 0), running(1, 1), running(2, 2)];
        let doubts = Doubts {
            quarantined: [node(1)].into(),
            silent: [id(2)].into(),
        };
        let step = reconcile(3, &placed, &doubts);
        assert_eq!(step.start, 2);
        let stops = [
            (placed[1].clone(), StopHow::Gracefully),
            (placed[2].clone(), StopHow::Now),
        ];
        assert_eq!(step.stops, stops);
    }

    #[test]
    fn patience_ends_only_if_nothing_ever_stays() {
        let usual = Duration::from_secs(30);
        let mut patience = Patience::default();
        patience.note(0, 4);
        assert_eq!(patience.pause(usual), usual);
        for round in 1..ROUNDS_MAX {
            patience.note(0, 4);
            assert!(!patience.is_exhausted(), "after {round} rounds");
        }
        assert_eq!(patience.pause(usual), Duration::from_secs(480));
        patience.note(1, 3);
        assert_eq!(patience.pause(usual), usual, "one stayed");
        for _ in 0..=ROUNDS_MAX {
            patience.note(0, 4);
        }
        assert!(patience.is_exhausted());
        let mut idle = Patience::default();
        for _ in 0..100 {
            idle.note(0, 0);
        }
        assert!(!idle.is_exhausted(), "nothing was wanted");
    }
}
