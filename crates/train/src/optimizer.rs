//! From gradients to new weights: SGD with momentum, and AdamW, as PyTorch does them.
//!
//! # Source
//! Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1; Loshchilov & Hutter 2019 (arXiv:1711.05101),
//! algorithm 2.

use crate::{recipe::Optimizer, vector::vectorised};

/// Keeps AdamW's root away from 0.
const EPSILON: f32 = 1e-8;

/// One tensor's share of an optimizer step.
pub(crate) struct Update<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) first: &'a mut [f32],
    pub(crate) second: &'a mut [f32],
}

/// What all tensors of a step share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepRule {
    pub(crate) optimizer: Optimizer,
    pub(crate) learning_rate: f64,
}

impl StepRule {
    /// Changes one tensor in a step, whose number counts from 1.
    pub(crate) fn apply(&self, step: u64, update: Update<'_>, weight_decay: f64) {
        let Update {
            values,
            gradient,
            first,
            second,
        } = update;
        match self.optimizer {
            Optimizer::Sgd { momentum } => {
                let (rate, decay) = (self.learning_rate as f32, weight_decay as f32);
                sgd(values, gradient, first, momentum, rate, decay);
            }
            Optimizer::AdamW { beta1, beta2 } => {
                let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
                let factors = AdamFactors {
                    beta1,
                    beta2,
                    rate: (self.learning_rate / correction(beta1)) as f32,
                    root: correction(beta2).sqrt().recip() as f32,
                    keep: (1.0 - self.learning_rate * weight_decay) as f32,
                };
                adamw(values, gradient, first, second, factors);
            }
        }
    }
}

/// What AdamW multiplies with in one step.
#[derive(Clone, Copy)]
pub(crate) struct AdamFactors {
    beta1: f32,
    beta2: f32,
    /// Of the first moment: the learning rate, corrected for moments that began with 0.
    rate: f32,
    /// Of the second moment's root, corrected likewise.
    root: f32,
    /// Of the value: what the weight decay leaves.
    keep: f32,
}

vectorised! {
    fn sgd(
        values: &mut [f32],
        gradient: &[f32],
        velocity: &mut [f32],
        momentum: f32,
        rate: f32,
        decay: f32,
    ) {
        for ((value, slope), velocity) in values.iter_mut().zip(gradient).zip(velocity) {
            *velocity = momentum * *velocity + (*slope + decay * *value);
            *value -= rate * *velocity;
        }
    }

    fn adamw(
        values: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        factors: AdamFactors,
    ) {
        let AdamFactors {
            beta1,
            beta2,
            rate,
            root,
            keep,
        } = factors;
        let moments = first.iter_mut().zip(second);
        for ((value, slope), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = beta1 * *first + (1.0 - beta1) * *slope;
            *second = beta2 * *second + (1.0 - beta2) * *slope * *slope;
            *value = keep * *value - rate * *first / (second.sqrt() * root + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(optimizer: Optimizer, weight_decay: f64) -> f32 {
        let (mut value, mut first, mut second) = ([1.0_f32], [0.0], [0.0]);
        for step in 1..=3 {
            let rule = StepRule {
                optimizer,
                learning_rate: 0.1,
            };
            let gradient = [2.0 * value[0]];
            let update = Update {
                values: &mut value,
                gradient: &gradient,
                first: &mut first,
                second: &mut second,
            };
            rule.apply(step, update, weight_decay);
        }
        value[0]
    }

    #[test]
    fn three_steps_are_those_of_the_textbook() {
        // By hand: v = 2, 3.4, 3.98; x = 0.8, 0.46, 0.062.
        assert!((steps(Optimizer::Sgd { momentum: 0.9 }, 0.0) - 0.062).abs() < 1e-6);
        // Adam's first steps are as long as the learning rate while the gradient keeps its sign.
        let adam = steps(
            Optimizer::AdamW {
                beta1: 0.9,
                beta2: 0.999,
            },
            0.0,
        );
        assert!((adam - 0.7015).abs() < 2e-3, "{adam}");
        assert!(
            steps(
                Optimizer::AdamW {
                    beta1: 0.9,
                    beta2: 0.999
                },
                0.5
            ) < adam
        );
    }
}
