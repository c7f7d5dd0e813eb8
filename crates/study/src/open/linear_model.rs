//! The linear model: the first trial of a study, and what its networks are compared with in the end.

use morph::{Architecture, Layer, LayerId, Node, Shape};
use search::{CROP, Limits, Objective, Origin, Setting, Space, Task};

use crate::{
    config::StudyConfig,
    latency::measured_latency,
    trial::{Candidate, WorkerName},
};

/// Name of the first trial's origin.
pub const LINEAR_BASELINE: &str = "linear baseline";

/// What a linear model reaches, in the same hands; `None` if it is beyond the limits of the networks of this study:
/// where nothing else may be as large, it would win by that.
pub(super) fn linear_baseline(
    config: &StudyConfig,
    task: &Task,
    limits: Limits,
) -> Option<Candidate> {
    let architecture = linear(task);
    let is_latency_asked =
        config.search.objectives.contains(&Objective::Latency) || limits.latency_micros.is_some();
    let baseline = Candidate {
        // A model that cannot be built has no latency, and its trial will say why.
        latency_seconds: is_latency_asked
            .then(|| measured_latency(&architecture).ok())
            .flatten(),
        architecture,
        setting: unmoved(&config.search.space),
        origin: Origin::Seed {
            name: LINEAR_BASELINE.to_string(),
        },
        promise: None,
        proposed_by: WorkerName("master".to_string()),
    };
    is_within(limits, &baseline).then_some(baseline)
}

fn is_within(limits: Limits, baseline: &Candidate) -> bool {
    // How much memory is free changes from run to run: trainers look at that.
    let lasting = Limits {
        memory_bytes: None,
        ..limits
    };
    let is_fast = |seconds: f64| match limits.latency_micros {
        Some(most) => seconds * 1e6 <= most as f64,
        None => true,
    };
    lasting.allow(&baseline.architecture, &baseline.setting)
        && baseline.latency_seconds.is_none_or(is_fast)
}

/// The defaults of a space, but that images stay where they are: a linear model does not know a thing again elsewhere.
fn unmoved(space: &Space) -> Setting {
    let still = search::Value::Integer(0);
    let crop = space.parameters().iter().find(|one| one.name() == CROP);
    match crop.and_then(|crop| crop.domain().clamp(&still)) {
        Some(least) if least == still => space.defaults().with(CROP, still),
        _ => space.defaults(),
    }
}

/// Width of the vectors by which a linear model of texts weighs words.
const WORD_WIDTH: u32 = 16;

/// Linear in its inputs: logistic or linear regression, according to the loss. Of a text, linear in how
/// often each word occurs.
pub(crate) fn linear(task: &Task) -> Architecture {
    let dense = Layer::Dense {
        units: task.outputs,
    };
    let input = Layer::Input { shape: task.input };
    let layers = match (task.input, task.tokens) {
        (_, Some(tokens)) => {
            let width = WORD_WIDTH;
            let codes = tokens.codes();
            let embedding = Layer::Embedding { codes, width };
            vec![input, embedding, Layer::GlobalAvgPool, dense, Layer::Output]
        }
        (Shape::Flat { .. }, None) => vec![input, dense, Layer::Output],
        (_, None) => vec![input, Layer::Flatten, dense, Layer::Output],
    };
    let nodes = layers
        .into_iter()
        .enumerate()
        .map(|(index, layer)| Node {
            layer,
            inputs: index.checked_sub(1).map(LayerId::at).into_iter().collect(),
        })
        .collect();
    Architecture::new(nodes).expect("a linear model fits every input shape")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use search::Tokens;

    use super::*;
    use crate::prepared::tests::config_of;

    fn is_there(text: &str, limits: Limits) -> bool {
        let shape = text.parse::<Architecture>().unwrap().input_shape();
        let tokens = match shape {
            Shape::Sequence { .. } => Some(Tokens::Words { codes: 8_002 }),
            _ => None,
        };
        let task = Task {
            input: shape,
            tokens,
            outputs: 10,
        };
        linear_baseline(&config_of(PathBuf::new()), &task, limits).is_some()
    }

    #[test]
    fn it_is_tried_where_the_limits_allow_it_and_nowhere_else() {
        let image = "in 3x32x32 | flatten | dense 10";
        let words = "in 1x100 | gap | dense 10";
        let none = Limits::default();
        let parameters = |most| Limits {
            parameters: Some(most),
            ..none
        };
        assert!(is_there(image, none) && is_there(words, none));
        assert!(is_there(image, parameters(30_730)));
        assert!(!is_there(image, parameters(30_729)));
        assert!(!is_there(words, parameters(100_000)));
        let latency = |micros| Limits {
            latency_micros: Some(micros),
            ..none
        };
        assert!(!is_there(image, latency(0)));
        assert!(is_there(image, latency(60_000_000)));
        let layers = Limits {
            layers: Some(3),
            ..none
        };
        assert!(!is_there(image, layers));
        let memory = Limits {
            memory_bytes: Some(1),
            ..none
        };
        assert!(is_there(image, memory));
    }
}
