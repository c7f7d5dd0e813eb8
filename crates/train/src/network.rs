//! A plan with memory and weights: forward, backward, and one optimizer step after the other.
//!
//! All memory is taken by [`Network::new`]; a step takes none.

use std::{collections::BTreeMap, num::NonZeroUsize};

use data::Examples;

use crate::{
    augment::{Augmenter, Mix},
    buffers::{Arena, Region},
    loss::{BatchTargets, Weighting, loss_and_gradient},
    optimizer::{StepRule, Update},
    pass::{Mode, Purpose},
    plan::{Place, Plan, Slot, TrainingMemory},
    recipe::Loss,
    step::Frame,
    threads::Crew,
    vector::{Store, add_squares, copy, follow, scale},
    weights::{Tensor, Weights},
};

/// A network that can be run and trained.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    arena: Arena,
    crew: Crew,
    steps_done: u64,
}

impl Network {
    /// Takes the memory of a plan and puts the weights into it.
    ///
    /// # Panics
    /// If the weights are not those of the plan's architecture.
    pub fn new(plan: Plan, weights: Weights) -> Network {
        let mut arena = Arena::new(plan.floats);
        let view = arena.view();
        for slot in &plan.slots {
            let tensor = weights.part(slot.spec.layer, slot.spec.part);
            assert_eq!(
                tensor.shape, slot.spec.shape,
                "the weights fit the architecture"
            );
            view.write(place(&plan, slot))
                .copy_from_slice(&tensor.values);
        }
        let crew = Crew::new(plan.threads);
        Network {
            plan,
            arena,
            crew,
            steps_done: 0,
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the network says of these rows, as a finished model.
    ///
    /// # Shapes
    /// `[rows.len()][outputs]`; any number of rows.
    pub fn outputs(&mut self, examples: &Examples, rows: &[u32]) -> Vec<f32> {
        let mut outputs = Vec::with_capacity(rows.len() * self.plan.output.item);
        let groups = rows.len().div_ceil(self.plan.group).max(1);
        for chunk in rows.chunks(rows.len().div_ceil(groups).max(1)) {
            self.load(examples, chunk);
            self.run_forward(chunk.len(), Mode::Eval, Purpose::Infer);
            outputs.extend_from_slice(self.batch_outputs(chunk.len()));
        }
        outputs
    }

    /// Runs one batch of inputs given as numbers.
    ///
    /// # Shapes
    /// `inputs: [rows][item]`, at most as many rows as the plan's batch; returns `[rows][outputs]`.
    ///
    /// # Panics
    /// If there are more rows than that, or part of one.
    pub fn forward(&mut self, inputs: &[f32], mode: Mode) -> &[f32] {
        let rows = self.forward_for(inputs, mode, Purpose::Infer);
        self.batch_outputs(rows)
    }

    fn forward_for(&mut self, inputs: &[f32], mode: Mode, purpose: Purpose) -> usize {
        let rows = inputs.len() / self.plan.input.item;
        assert_eq!(
            rows * self.plan.input.item,
            inputs.len(),
            "inputs are whole rows"
        );
        assert!(
            rows <= self.plan.batch,
            "a batch has at most {} rows",
            self.plan.batch
        );
        let region = self.plan.input.rows(&(0..rows));
        self.arena.view().write(region).copy_from_slice(inputs);
        self.run_forward(rows, mode, purpose);
        rows
    }

    /// Loss of one batch, and its gradient by every learned tensor.
    ///
    /// # Shapes
    /// `inputs: [rows][item]`; gradients have the shapes of the weights.
    /// # Errors
    /// None: a plan for inference has no gradients, and asking for them panics.
    pub fn gradients(
        &mut self,
        inputs: &[f32],
        targets: BatchTargets<'_>,
        loss: Loss,
        mode: Mode,
    ) -> (f64, BTreeMap<String, Tensor>) {
        let rows = self.forward_for(inputs, mode, Purpose::Train);
        let value = self.run_backward(
            rows,
            mode,
            &LossTask {
                loss,
                targets,
                weighting: Weighting::default(),
                mix: None,
            },
        );
        let block = self.plan.blocks.thread_gradients(0, self.crew.size());
        let gradients = self.plan.slots.iter().filter_map(|slot| {
            let Place::Parameter(parameter) = &slot.place else {
                return None;
            };
            let values = self.arena.read(block.part(parameter.0.clone())).to_vec();
            Some((
                slot.spec.name(),
                Tensor {
                    shape: slot.spec.shape.clone(),
                    values,
                },
            ))
        });
        (value, gradients.collect())
    }

    /// One step of training on these rows; returns the loss before it.
    pub(crate) fn train_step(
        &mut self,
        examples: &Examples,
        rows: &[u32],
        targets: BatchTargets<'_>,
        augmenter: &mut Augmenter,
        task: &StepTask<'_>,
    ) -> f64 {
        self.steps_done += 1;
        let mode = Mode::Train {
            seed: task.seed.wrapping_add(self.steps_done),
        };
        self.load(examples, rows);
        let region = self.plan.input.rows(&(0..rows.len()));
        let mix = augmenter.apply(self.arena.view().write(region), self.steps_done);
        self.run_forward(rows.len(), mode, Purpose::Train);
        let loss = LossTask {
            loss: task.loss,
            targets,
            weighting: task.weighting,
            mix,
        };
        let loss = self.run_backward(rows.len(), mode, &loss);
        if let Some(most) = task.gradient_norm_max {
            self.clip_gradients(most);
        }
        self.update(task);
        if let Some(decay) = task.average_decay {
            self.average(decay);
        }
        loss
    }

    fn load(&mut self, examples: &Examples, rows: &[u32]) {
        let region = self.plan.input.rows(&(0..rows.len()));
        examples.copy_inputs(rows, self.arena.view().write(region));
    }

    fn run_forward(&mut self, rows: usize, mode: Mode, purpose: Purpose) {
        let Network {
            plan, arena, crew, ..
        } = self;
        let frame = Frame {
            view: arena.view(),
            crew,
            blocks: plan.blocks,
            rows,
            mode,
            purpose,
            precision: plan.precision(purpose),
        };
        plan.steps.iter().for_each(|step| step.forward(&frame));
    }

    fn run_backward(&mut self, rows: usize, mode: Mode, task: &LossTask<'_>) -> f64 {
        let memory = self.training_memory();
        let Network {
            plan, arena, crew, ..
        } = self;
        let view = arena.view();
        let outputs = view.read(plan.output.rows(&(0..rows)));
        let gradient = view.write(memory.output_gradient.rows(&(0..rows)));
        let value = loss_and_gradient(
            task.loss,
            outputs,
            task.targets,
            task.weighting,
            task.mix,
            gradient,
        );
        let frame = Frame {
            view,
            crew,
            blocks: plan.blocks,
            rows,
            mode,
            purpose: Purpose::Train,
            precision: plan.precision(Purpose::Train),
        };
        plan.steps
            .iter()
            .rev()
            .for_each(|step| step.backward(&frame));
        // Always in the order of the threads, so that the same bits come out.
        let threads = crew.size();
        let sum = view.write(plan.blocks.thread_gradients(0, threads));
        for thread in 1..threads {
            copy(
                sum,
                view.read(plan.blocks.thread_gradients(thread, threads)),
                Store::Add,
            );
        }
        value
    }

    /// Scales all gradients so that their common norm is at most this.
    ///
    /// # Source
    /// Pascanu, Mikolov, Bengio 2013 (arXiv:1211.5063), algorithm 1.
    fn clip_gradients(&mut self, most: f64) {
        let block = self.plan.blocks.thread_gradients(0, self.crew.size());
        let gradients = self.arena.view().write(block);
        let mut squares = 0.0;
        add_squares(&mut squares, gradients);
        let norm = squares.sqrt();
        // A norm that is no number stays visible: it is not above anything.
        if norm > most {
            scale(gradients, (most / norm) as f32);
        }
    }

    /// Lets the averages follow the weights; faster in the first steps, which are far from the end.
    fn average(&mut self, decay: f64) {
        let [parameters, statistics] = self.training_memory().averaged;
        let (blocks, view) = (self.plan.blocks, self.arena.view());
        let steps = self.steps_done as f64;
        let keep = match self.steps_done {
            1 => 0.0,
            _ => decay.min((1.0 + steps) / (10.0 + steps)) as f32,
        };
        follow(view.write(parameters), view.read(blocks.parameters), keep);
        follow(view.write(statistics), view.read(blocks.statistics), keep);
    }

    /// Exchanges the weights and their averages.
    pub(crate) fn swap_averages(&mut self) {
        let [parameters, statistics] = self.training_memory().averaged;
        let (blocks, view) = (self.plan.blocks, self.arena.view());
        let pairs = [
            (blocks.parameters, parameters),
            (blocks.statistics, statistics),
        ];
        for (values, averages) in pairs {
            view.write(values).swap_with_slice(view.write(averages));
        }
    }

    fn update(&mut self, task: &StepTask<'_>) {
        let memory = self.training_memory();
        let view = self.arena.view();
        let gradients = self.plan.blocks.thread_gradients(0, self.crew.size());
        for slot in &self.plan.slots {
            let Place::Parameter(parameter) = &slot.place else {
                continue;
            };
            let part = |region: Region| region.part(parameter.0.clone());
            let update = Update {
                values: view.write(part(self.plan.blocks.parameters)),
                gradient: view.read(part(gradients)),
                first: view.write(part(memory.moments[0])),
                second: view.write(part(memory.moments[1])),
            };
            let decays = slot.spec.part.decays();
            let weight_decay = if decays { task.weight_decay } else { 0.0 };
            task.rule.apply(self.steps_done, update, weight_decay);
        }
    }

    /// Remembers the weights as they are now; what was remembered before is forgotten.
    pub(crate) fn keep(&mut self) {
        let [parameters, statistics] = self.training_memory().kept;
        let (blocks, view) = (self.plan.blocks, self.arena.view());
        view.write(parameters)
            .copy_from_slice(view.read(blocks.parameters));
        view.write(statistics)
            .copy_from_slice(view.read(blocks.statistics));
    }

    /// Goes back to the remembered weights.
    pub(crate) fn restore(&mut self) {
        let [parameters, statistics] = self.training_memory().kept;
        let (blocks, view) = (self.plan.blocks, self.arena.view());
        view.write(blocks.parameters)
            .copy_from_slice(view.read(parameters));
        view.write(blocks.statistics)
            .copy_from_slice(view.read(statistics));
    }

    fn training_memory(&self) -> TrainingMemory {
        self.plan
            .training
            .expect("only a plan for training is trained")
    }

    fn batch_outputs(&self, rows: usize) -> &[f32] {
        self.arena.read(self.plan.output.rows(&(0..rows)))
    }

    /// The weights as they are now.
    pub fn weights(&self) -> Weights {
        let tensors = self.plan.slots.iter().map(|slot| {
            let values = self.arena.read(place(&self.plan, slot)).to_vec();
            (
                slot.spec.name(),
                Tensor {
                    shape: slot.spec.shape.clone(),
                    values,
                },
            )
        });
        Weights::from_tensors(tensors.collect())
    }

    /// Rows of a batch.
    pub fn batch(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.plan.batch).expect("a plan is compiled for at least one row")
    }
}

impl Network {
    /// How many steps of training have been made.
    pub(crate) fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// Everything that one step of training leaves for the next, block by block.
    pub(crate) fn lasting_values(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let lasting = self.plan.lasting();
        lasting.map(move |(name, region)| (name, self.arena.read(region)))
    }

    /// Goes on from such blocks after so many steps; `None` if they are not those of this plan.
    pub(crate) fn go_on_from(
        &mut self,
        steps: u64,
        blocks: &BTreeMap<String, Tensor>,
    ) -> Option<()> {
        let lasting: Vec<(&str, Region)> = self.plan.lasting().collect();
        let fits = lasting.iter().all(|(name, region)| {
            let block = blocks.get(*name);
            block.is_some_and(|block| block.values.len() == region.len())
        });
        if !fits || blocks.len() != lasting.len() {
            return None;
        }
        let view = self.arena.view();
        for (name, region) in lasting {
            view.write(region).copy_from_slice(&blocks[name].values);
        }
        self.steps_done = steps;
        Some(())
    }
}

/// What all steps of a training share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepTask<'a> {
    pub(crate) loss: Loss,
    pub(crate) weighting: Weighting<'a>,
    pub(crate) rule: StepRule,
    pub(crate) weight_decay: f64,
    pub(crate) gradient_norm_max: Option<f64>,
    pub(crate) average_decay: Option<f64>,
    pub(crate) seed: u64,
}

/// What the loss of one batch depends on beside the outputs.
struct LossTask<'a> {
    loss: Loss,
    targets: BatchTargets<'a>,
    weighting: Weighting<'a>,
    mix: Option<Mix>,
}

/// Where a tensor lies in the arena.
fn place(plan: &Plan, slot: &Slot) -> Region {
    match &slot.place {
        Place::Parameter(parameter) => plan.blocks.parameters.part(parameter.0.clone()),
        Place::Statistic(statistic) => plan.blocks.statistics.part(statistic.0.clone()),
    }
}

#[cfg(test)]
mod tests;
