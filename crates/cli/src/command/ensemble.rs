//! What is said of an ensemble: a few lines below the winner, and the card beside its files.

use anyhow::{Context, Result};
use study::{
    conclude::{
        Conclusion, Difference, Ensemble, EnsembleMade, Scored, Shows, WithInterval,
        ensemble::members_in_words,
    },
    folder::StudyFolder,
    replace_durably,
};

use crate::{
    command::{
        best::{interval, scores, value},
        findings::signed,
    },
    show,
};

/// What `lehr best` says below the winner; nothing if no ensemble was asked for.
pub(crate) fn text(folder: &StudyFolder, conclusion: &Conclusion) -> String {
    let made = match &conclusion.ensemble {
        None => return String::new(),
        Some(Ensemble::NoneBetter { tried }) => {
            return format!("ensemble    {}\n", none_better(*tried));
        }
        Some(Ensemble::Made(made)) => made,
    };
    let Scored {
        validation, vault, ..
    } = &made.scored;
    let place = folder.ensemble();
    let mut text = format!(
        "ensemble    trials {}\n            validation {} (its rows chose them)\n",
        members_in_words(&made.members),
        value(*validation),
    );
    if let Some(found) = vault {
        text += &format!(
            "            vault      {} (95 % interval {}); {}\n",
            show::significant(found.value),
            interval(*vault),
            against_winner(made),
        );
    }
    text + &format!(
        "            {} parameters, {} ms per example; {}\n",
        made.cost.parameters,
        show::significant(made.latency_seconds * 1e3),
        place.display()
    )
}

/// That there is none, and why.
pub(crate) fn none_better(tried: usize) -> String {
    format!(
        "none: of the best {tried} trials no two were better together than the best alone, on the validation \
         rows and within the limits"
    )
}

/// The difference to the winner, with what it means.
pub(crate) fn against_winner(made: &EnsembleMade) -> String {
    let Some(Difference { interval, shows }) = made.better_by else {
        return "without a vault nothing says whether it is better than the winner".to_string();
    };
    let WithInterval { value, low, high } = interval;
    let meaning = match shows {
        Shows::Better => "better than the winner",
        Shows::Worse => "worse than the winner: use that",
        Shows::Nothing => "no difference to the winner that these rows can show",
    };
    format!(
        "{} ({} to {}): {meaning}",
        signed(value),
        signed(low),
        signed(high)
    )
}

/// Writes the card beside the ensemble's files, if there is one.
pub(crate) fn write_card(folder: &StudyFolder, conclusion: &Conclusion) -> Result<()> {
    let Some(Ensemble::Made(made)) = &conclusion.ensemble else {
        return Ok(());
    };
    let path = folder.ensemble().join("card.md");
    replace_durably(&path, card(conclusion, made).as_bytes())
        .with_context(|| format!("could not write {}", path.display()))
}

fn card(conclusion: &Conclusion, made: &EnsembleMade) -> String {
    let mut text = format!(
        "# Model of {} trials together\n\n\
         One network that puts out the weighted mean of what its members put out.\n\n\
         | trial | counts |\n|---|---|\n",
        made.members.len()
    );
    for member in &made.members {
        text += &format!("| {} | {:.1} % |\n", member.trial, member.share * 100.0);
    }
    text += &format!(
        "\n- parameters: {}\n- time per example: {} ms\n\n",
        made.cost.parameters,
        show::significant(made.latency_seconds * 1e3),
    );
    text += &scores(
        conclusion.metric,
        [&made.scored, &conclusion.winner].into_iter(),
    );
    text + &format!(
        "\nThe validation rows chose the members, so the score there flatters. On the vault, row by row: {}.\n",
        against_winner(made)
    )
}
