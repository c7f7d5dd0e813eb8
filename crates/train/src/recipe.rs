//! How a network is trained: the determined hyperparameters, in the words trainers know.

use std::num::{NonZeroU32, NonZeroUsize};

use serde::{Deserialize, Serialize};

use crate::augment::Augmentation;

/// What training makes small.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Loss {
    /// For classes; the right one gets `1 − label_smoothing`, the rest is spread over all.
    CrossEntropy {
        /// From 0 to below 1.
        label_smoothing: f32,
    },
    /// Mean of squared errors.
    SquaredError,
    /// Squared up to `delta` (halved), linear beyond.
    Huber {
        /// Above 0, in standard deviations of the target.
        delta: f32,
    },
}

/// How gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent; weight decay is added to the gradient.
    Sgd {
        /// From 0 to below 1.
        momentum: f32,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Memory of gradients.
        beta1: f32,
        /// Memory of their squares.
        beta2: f32,
    },
}

/// How much the rows of each class weigh in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    Equal,
    /// Each class as much as every other, however few rows it has.
    Balanced,
}

/// How matrix products round their factors while a network is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Not at all.
    #[default]
    F32,
    /// To bfloat16, eight bits, where the CPU is faster with it (AVX512-BF16), otherwise not at all.
    /// Sums, weights, gradients, optimizer and convolutions larger than 1×1 stay `f32`.
    Bf16,
}

/// Which epoch's weights are the result of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Those of the epoch with the best score.
    #[default]
    Best,
    /// Those of the best epoch of the last quarter, or the newest of a training that ends before it. A few
    /// validation rows are all right by chance at some time; at the end the learning rate is small, and the
    /// network has come to rest.
    Late,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// How gradients change weights.
    pub optimizer: Optimizer,
    /// Largest learning rate; it rises to this, then falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Decay of products' weights; biases and norms never decay.
    pub weight_decay: f64,
    /// Rows per step.
    pub batch_size: NonZeroUsize,
    /// Passes over the training rows at most.
    pub epochs: NonZeroU32,
    /// Epochs without a better score before training ends; never if absent.
    pub patience: Option<NonZeroU32>,
    /// Which epoch's weights are the result.
    #[serde(default)]
    pub kept: Kept,
    /// What is made small.
    pub loss: Loss,
    /// How much the rows of each class weigh.
    pub class_weights: ClassWeights,
    /// Epochs over which the learning rate rises, at the beginning.
    pub warmup_epochs: f64,
    /// Gradients whose norm over all tensors is larger are scaled down to it; above 0.
    #[serde(default)]
    pub gradient_norm_max: Option<f64>,
    /// Decay of the moving average of weights and statistics that is validated and kept instead of the
    /// weights themselves; above 0 and below 1.
    #[serde(default)]
    pub average_decay: Option<f64>,
    /// What is done to training examples.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// How matrix products round their factors.
    #[serde(default)]
    pub precision: Precision,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Recipe {
            optimizer: Optimizer::AdamW {
                beta1: 0.9,
                beta2: 0.999,
            },
            learning_rate: 3e-3,
            weight_decay: 1e-2,
            batch_size: NonZeroUsize::new(64).expect("64 is not 0"),
            epochs: NonZeroU32::new(10).expect("10 is not 0"),
            patience: None,
            kept: Kept::Best,
            loss: Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            class_weights: ClassWeights::Equal,
            warmup_epochs: 0.5,
            gradient_norm_max: None,
            average_decay: None,
            augmentation: Augmentation::default(),
            precision: Precision::F32,
        }
    }
}

impl Recipe {
    /// Learning rate after `step` of `total` steps. They rise for the share that they would rise of all epochs, so
    /// that a training that is cut still falls.
    ///
    /// # Source
    /// Cosine without restarts, Loshchilov & Hutter 2017 (arXiv:1608.03983), equation 5.
    pub(crate) fn learning_rate_at(&self, step: f64, total: f64) -> f64 {
        let warmup = self.warmup_epochs / f64::from(self.epochs.get()) * total;
        if step < warmup {
            return self.learning_rate * (step + 1.0) / (warmup + 1.0);
        }
        let share = ((step - warmup) / (total - warmup).max(1.0)).clamp(0.0, 1.0);
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rising_for_a_tenth() -> Recipe {
        Recipe {
            learning_rate: 1.0,
            epochs: NonZeroU32::new(20).unwrap(),
            warmup_epochs: 2.0,
            ..Recipe::default()
        }
    }

    #[test]
    fn of_a_training_that_is_cut_the_rise_is_cut_as_well() {
        let recipe = rising_for_a_tenth();
        // Two epochs of ten steps instead of twenty: as many as would have risen.
        let rates: Vec<f64> = (0..=20)
            .map(|step| recipe.learning_rate_at(f64::from(step), 20.0))
            .collect();
        assert!(rates[2..].windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!((rates[2], rates[20]), (1.0, 0.0));
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_nothing() {
        let recipe = rising_for_a_tenth();
        let rates: Vec<f64> = (0..=100)
            .map(|step| recipe.learning_rate_at(f64::from(step), 100.0))
            .collect();
        assert!(rates[..11].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rates[11..].windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!((rates[10], rates[100]), (1.0, 0.0));
    }
}
