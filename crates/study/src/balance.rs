//! What is done about classes of which some have many more rows than others: which metric decides, and
//! whether rare classes weigh more in the loss.
//!
//! From [`IMBALANCE`] on, a model that never says the rare class looks good by accuracy; so the mean over
//! classes decides, and the loss counts every class alike. What the user said is never overruled.

use data::{Finding, Importance, TargetProfile, profile::FindingKind};
use train::{ClassWeights, Metric};

/// Classes are out of balance if one has more than so many times the training rows of another.
pub const IMBALANCE: f64 = 3.0;

/// What decides and what the loss counts, and what is to be said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// What decides between trials.
    pub metric: Metric,
    /// How much classes weigh in the loss.
    pub class_weights: ClassWeights,
    /// Said where classes are out of balance.
    pub finding: Option<Finding>,
}

/// Decides by the training rows of the classes; `usual` is the metric where they are in balance.
pub fn balance(
    target: &TargetProfile,
    usual: Metric,
    metric: Option<Metric>,
    class_weights: Option<ClassWeights>,
) -> Balance {
    let is_balanced = target.imbalance() <= IMBALANCE;
    let decides = match is_balanced {
        true => usual,
        false => Metric::BalancedAccuracy,
    };
    let decides = metric.unwrap_or(decides);
    // Where the metric does not count classes alike, neither does the loss.
    let weights = match is_balanced || decides != Metric::BalancedAccuracy {
        true => ClassWeights::Equal,
        false => ClassWeights::Balanced,
    };
    let weights = class_weights.unwrap_or(weights);
    Balance {
        metric: decides,
        class_weights: weights,
        finding: (!is_balanced).then(|| finding(target, decides, weights)),
    }
}

fn finding(target: &TargetProfile, metric: Metric, weights: ClassWeights) -> Finding {
    let classes = match target {
        TargetProfile::Classification { classes, .. } => classes.as_slice(),
        TargetProfile::Regression { .. } => &[],
    };
    let there = classes.iter().filter(|class| class.rows.train > 0);
    let most = there.clone().max_by_key(|class| class.rows.train);
    let least = there.min_by_key(|class| class.rows.train);
    let (subjects, found) = match most.zip(least) {
        Some((most, least)) => (
            vec![most.class.as_str(), least.class.as_str()],
            format!(
                "`{}` has {} training rows and `{}` {} ({:.1} to 1)",
                most.class,
                most.rows.train,
                least.class,
                least.rows.train,
                target.imbalance()
            ),
        ),
        None => (Vec::new(), "classes are out of balance".to_string()),
    };
    let loss = match weights {
        ClassWeights::Balanced => "every class weighs the same in the loss",
        ClassWeights::Equal => "every row weighs the same in the loss",
    };
    let other = match metric {
        Metric::BalancedAccuracy => "--metric accuracy",
        _ => "--metric balanced_accuracy",
    };
    let done =
        format!("{metric} decides and {loss} ({other} and training.class_weights say otherwise)");
    Finding::new(
        Importance::Note,
        FindingKind::Imbalance,
        &subjects,
        found,
        done,
    )
}

#[cfg(test)]
mod tests {
    use data::profile::{ClassCount, PartRows};

    use super::*;

    fn target(counts: [usize; 2]) -> TargetProfile {
        let class = |(name, train): (&str, usize)| ClassCount {
            class: name.into(),
            rows: PartRows {
                train,
                validation: 0,
                vault: 0,
            },
        };
        TargetProfile::Classification {
            classes: ["no", "yes"].into_iter().zip(counts).map(class).collect(),
            imbalance: counts[0] as f64 / counts[1] as f64,
        }
    }

    fn check(
        counts: [usize; 2],
        metric: Option<Metric>,
        weights: Option<ClassWeights>,
    ) -> (Metric, ClassWeights, String) {
        let balance = balance(&target(counts), Metric::Accuracy, metric, weights);
        let said = balance
            .finding
            .map_or(String::new(), |finding| finding.to_string());
        (balance.metric, balance.class_weights, said)
    }

    #[test]
    fn beyond_three_to_one_classes_count_alike_and_it_is_said() {
        let nothing = String::new();
        assert_eq!(
            check([300, 100], None, None),
            (Metric::Accuracy, ClassWeights::Equal, nothing)
        );
        let (metric, weights, said) = check([301, 100], None, None);
        assert_eq!(
            (metric, weights),
            (Metric::BalancedAccuracy, ClassWeights::Balanced)
        );
        assert_eq!(
            said,
            "`no` has 301 training rows and `yes` 100 (3.0 to 1): balanced_accuracy decides and every \
             class weighs the same in the loss (--metric accuracy and training.class_weights say otherwise)"
        );
    }

    #[test]
    fn what_the_user_said_is_kept() {
        let (metric, weights, said) = check([900, 100], Some(Metric::Auc), None);
        assert_eq!((metric, weights), (Metric::Auc, ClassWeights::Equal));
        assert!(
            said.contains("auc decides and every row weighs the same"),
            "{said}"
        );
        let (metric, weights, _) = check([900, 100], None, Some(ClassWeights::Equal));
        assert_eq!(
            (metric, weights),
            (Metric::BalancedAccuracy, ClassWeights::Equal)
        );
        let (_, weights, _) = check([100, 100], None, Some(ClassWeights::Balanced));
        assert_eq!(weights, ClassWeights::Balanced);
    }
}
