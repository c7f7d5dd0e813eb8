//! From an architecture to steps and memory: everything that can be decided before the first number.
//!
//! A layer becomes a step, or vanishes: a rectifier that alone follows a layer that can do it goes into
//! that layer, flattening and the output are other names for the same memory, and dropout is one in a
//! plan for inference. Gradients are only planned where something before them learns. Values share
//! memory when they are never needed at the same time.
//!
//! Nothing is allocated here but the plan itself: the memory is taken by `Network::new`.

mod wiring;

use std::{num::NonZeroUsize, ops::Range};

use morph::{Architecture, LayerId};
use thiserror::Error;

use crate::{
    buffers::{LINE, Layout, Region, Ticket},
    pass::Purpose,
    recipe::Precision,
    step::{Blocks, Parameter, Statistic, Step, Value},
    threads::Threads,
    weights::{TensorSpec, specification},
};
use wiring::Wiring;

/// Why an architecture cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// More memory than can be addressed.
    #[error(
        "a plan for batches of {batch} examples needs more memory than can be addressed; \
         use smaller batches or a smaller network"
    )]
    TooLarge {
        /// Examples per batch.
        batch: usize,
    },
}

/// Where a tensor of the weights lives while the network runs.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Among the learned values.
    Parameter(Parameter),
    /// Among the running statistics.
    Statistic(Statistic),
}

/// A tensor and its place.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) spec: TensorSpec,
    pub(crate) place: Place,
}

/// Memory that only training needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrainingMemory {
    /// Gradient of the loss by the network's output.
    pub(crate) output_gradient: Value,
    /// Two moments per parameter; plain momentum uses only the first.
    pub(crate) moments: [Region; 2],
    /// Parameters and statistics of the epoch that is kept.
    pub(crate) kept: [Region; 2],
    /// Moving averages of parameters and statistics.
    pub(crate) averaged: [Region; 2],
}

/// What the input and output of a step may take of a core's cache while nothing is learned, in floats.
///
/// From measurements with groups of 4 to 128 examples: 4 MiB lies on the flat top of the speed of every
/// network of `bench/train`.
const CACHED: usize = (4 << 20) / size_of::<f32>();

/// A compiled architecture.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) batch: usize,
    /// Examples that go through all layers together while nothing is learned: so few that what one
    /// layer writes is still in the cache when the next one reads it.
    pub(crate) group: usize,
    pub(crate) threads: Threads,
    pub(crate) slots: Vec<Slot>,
    pub(crate) steps: Vec<Step>,
    pub(crate) blocks: Blocks,
    pub(crate) input: Value,
    pub(crate) output: Value,
    pub(crate) training: Option<TrainingMemory>,
    pub(crate) floats: usize,
    /// Of passes that a step of training follows.
    precision: Precision,
}

impl Plan {
    /// Compiles an architecture for batches of up to `batch` examples.
    ///
    /// # Errors
    /// If the memory cannot even be addressed. Whether it fits a device is for the caller to decide,
    /// by [`Plan::memory_bytes`].
    /// # Cost
    /// `O(layers²)`; no tensor memory is taken.
    pub fn compile(
        architecture: &Architecture,
        batch: NonZeroUsize,
        threads: Threads,
        purpose: Purpose,
    ) -> Result<Plan, PlanError> {
        let batch = batch.get();
        let too_large = || PlanError::TooLarge { batch };
        check_addressable(architecture, batch).ok_or_else(too_large)?;
        let slots = slots(architecture);
        let wiring = Wiring::new(architecture, purpose);
        let mut layout = Layout::default();
        let shared = SharedTickets::want(&mut layout, architecture, &slots, threads, purpose);
        let tickets = wiring.want(&mut layout, batch, threads);
        let placed = layout.place().ok_or_else(too_large)?;
        if placed
            .floats
            .checked_mul(size_of::<f32>())
            .is_none_or(|b| isize::try_from(b).is_err())
        {
            return Err(too_large());
        }
        let built = wiring.build(&tickets, &placed, &slots);
        let blocks = Blocks {
            parameters: placed.region(shared.parameters),
            statistics: placed.region(shared.statistics),
            gradients: placed.region(shared.gradients),
            scratch: placed.region(shared.scratch),
        };
        let training = shared.training.map(
            |[
                first,
                second,
                kept,
                kept_statistics,
                averaged,
                averaged_statistics,
            ]| {
                TrainingMemory {
                    output_gradient: built.output_gradient.expect("a training plan has a loss"),
                    moments: [first, second].map(|ticket| placed.region(ticket)),
                    kept: [kept, kept_statistics].map(|ticket| placed.region(ticket)),
                    averaged: [averaged, averaged_statistics].map(|ticket| placed.region(ticket)),
                }
            },
        );
        Ok(Plan {
            batch,
            group: batch.min(group(architecture) * threads.get()),
            threads,
            slots,
            steps: built.steps,
            blocks,
            input: built.input,
            output: built.output,
            training,
            floats: placed.floats,
            precision: Precision::F32,
        })
    }

    /// The same plan with matrix products of this precision while it trains. What a network says when
    /// it is asked is computed in `f32` all the same, as an exported model does it.
    pub fn with_precision(self, precision: Precision) -> Plan {
        Plan { precision, ..self }
    }

    pub(crate) fn precision(&self, purpose: Purpose) -> Precision {
        match purpose {
            Purpose::Train => self.precision,
            Purpose::Infer => Precision::F32,
        }
    }

    /// Bytes that `Network::new` takes for this plan.
    ///
    /// Counted: weights, running statistics, activations, gradients (one sum per thread), scratch,
    /// two optimizer moments, the copy of the epoch that is kept and the moving average. Not counted:
    /// thread stacks, the plan, and what a training notes about each epoch.
    ///
    /// # Units
    /// Bytes.
    pub fn memory_bytes(&self) -> u64 {
        (self.floats * size_of::<f32>()) as u64
    }

    /// Bytes that a training takes beside [`Plan::memory_bytes`] while it becomes a file: the file, and the
    /// largest block once more on its way into it.
    ///
    /// Not counted: what is noted about each epoch.
    ///
    /// # Units
    /// Bytes; 0 for a plan that learns nothing.
    pub fn pause_bytes(&self) -> u64 {
        let lens = || self.lasting().map(|(_, region)| region.len());
        let floats = lens().sum::<usize>() + lens().max().unwrap_or(0);
        (floats * size_of::<f32>()) as u64
    }

    /// Blocks that keep their values from step to step of a training, by name.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = (&'static str, Region)> {
        let blocks = self.blocks;
        self.training.into_iter().flat_map(move |memory| {
            [
                ("parameters", blocks.parameters),
                ("statistics", blocks.statistics),
                ("first_moments", memory.moments[0]),
                ("second_moments", memory.moments[1]),
                ("best_parameters", memory.kept[0]),
                ("best_statistics", memory.kept[1]),
                ("averaged_parameters", memory.averaged[0]),
                ("averaged_statistics", memory.averaged[1]),
            ]
        })
    }

    /// Examples per batch.
    pub fn batch(&self) -> usize {
        self.batch
    }
}

/// Examples per thread whose largest step fits the cache.
fn group(architecture: &Architecture) -> usize {
    let step = |id: LayerId| {
        let inputs = architecture.input_shapes(id);
        let read: usize = inputs.iter().map(|shape| shape.values()).sum();
        read + architecture.shape(id).values()
    };
    let largest = architecture.ids().map(step).max().unwrap_or(0);
    (CACHED / largest.max(1)).max(1)
}

/// Rejects sizes whose sums could overflow before the layout sees them.
fn check_addressable(architecture: &Architecture, batch: usize) -> Option<()> {
    let values: usize = architecture.ids().try_fold(0_usize, |sum, id| {
        sum.checked_add(architecture.shape(id).values())
    })?;
    let weights = specification(architecture)
        .iter()
        .try_fold(0_usize, |sum, spec| sum.checked_add(spec.len()))?;
    // Room for gradients, moments, copies, patches and alignment: a wide margin below 2⁶³.
    let floats = values.checked_mul(batch)?.checked_add(weights)?;
    floats
        .checked_mul(4096)
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .map(|_| ())
}

/// Gives every tensor its range, each starting on a cache line.
fn slots(architecture: &Architecture) -> Vec<Slot> {
    let (mut parameters, mut statistics) = (0, 0);
    let place = |spec: TensorSpec| {
        let place = match spec.part.is_learned() {
            true => Place::Parameter(Parameter(taken(&mut parameters, spec.len()))),
            false => Place::Statistic(Statistic(taken(&mut statistics, spec.len()))),
        };
        Slot { spec, place }
    };
    specification(architecture).into_iter().map(place).collect()
}

/// The next range of this length; the one behind it starts on a cache line, too.
fn taken(next: &mut usize, len: usize) -> Range<usize> {
    let range = *next..*next + len;
    *next = range.end.next_multiple_of(LINE);
    range
}

/// Memory that belongs to no single step.
struct SharedTickets {
    parameters: Ticket,
    statistics: Ticket,
    gradients: Ticket,
    scratch: Ticket,
    training: Option<[Ticket; 6]>,
}

impl SharedTickets {
    fn want(
        layout: &mut Layout,
        architecture: &Architecture,
        slots: &[Slot],
        threads: Threads,
        purpose: Purpose,
    ) -> SharedTickets {
        let (mut learned, mut measured) = (0, 0);
        for slot in slots {
            match &slot.place {
                Place::Parameter(parameter) => learned = parameter.0.end.next_multiple_of(LINE),
                Place::Statistic(statistic) => measured = statistic.0.end.next_multiple_of(LINE),
            }
        }
        let scratch = architecture
            .ids()
            .map(|id: LayerId| wiring::scratch_len(architecture, id, purpose))
            .max()
            .unwrap_or(0)
            .next_multiple_of(LINE);
        let training = purpose == Purpose::Train;
        SharedTickets {
            parameters: layout.want_always(learned),
            statistics: layout.want_always(measured),
            gradients: layout.want_always(if training { learned * threads.get() } else { 0 }),
            scratch: layout.want_always(scratch * threads.get()),
            training: training.then(|| {
                [learned, learned, learned, measured, learned, measured]
                    .map(|len| layout.want_always(len))
            }),
        }
    }
}
