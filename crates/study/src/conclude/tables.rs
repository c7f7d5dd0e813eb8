//! What lies beside the winner: all trials as a table, and the models that none beats in all objectives.

use std::{fs, io, path::Path};

use super::{ConcludeError, Ground};
use crate::{
    artifact::replace_durably,
    config::StudyConfig,
    folder::StudyFolder,
    front::{FILES_PREFIX, FrontModel, files_of, front_csv, front_files},
    model::Model,
    trial::{Trial, TrialResult, by_standing},
};

/// Writes the table of the front and the models that are written of it; those of an earlier front go.
pub(super) fn write_front(
    folder: &StudyFolder,
    ground: &Ground,
    trials: &[Trial],
    front: &[FrontModel],
) -> Result<Vec<Model>, ConcludeError> {
    let mut models = Vec::new();
    let root = folder.front();
    fs::create_dir_all(&root).map_err(ConcludeError::unwritten(&root))?;
    remove_others(&root, front).map_err(ConcludeError::unwritten(&root))?;
    for chosen in front_files(front) {
        let trial = trials.iter().find(|trial| trial.id == chosen.trial);
        let trial = trial.expect("a front is made of these trials");
        let place = root.join(files_of(chosen.trial));
        fs::create_dir_all(&place).map_err(ConcludeError::unwritten(&place))?;
        let (model, _) = ground.calibrated(folder, trial)?;
        model.save(&place)?;
        models.push(model);
    }
    let table = root.join("front.csv");
    replace_durably(&table, front_csv(front, ground.metric).as_bytes())
        .map_err(ConcludeError::unwritten(&table))?;
    Ok(models)
}

/// Removes the models of trials that are not written any more.
fn remove_others(root: &Path, front: &[FrontModel]) -> io::Result<()> {
    let kept: Vec<String> = front_files(front)
        .iter()
        .map(|model| files_of(model.trial))
        .collect();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(FILES_PREFIX) && !kept.contains(&name) {
            fs::remove_dir_all(root.join(name))?;
        }
    }
    Ok(())
}

/// Writes all trials with a score, best first.
pub(super) fn write_leaderboard(
    folder: &StudyFolder,
    config: &StudyConfig,
    trials: &[Trial],
) -> Result<(), ConcludeError> {
    let metric = config
        .metric
        .expect("a study's metric is decided when it is made");
    let mut finished: Vec<(&Trial, &TrialResult)> = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.result()?)))
        .collect();
    finished.sort_by(|(a, _), (b, _)| by_standing(a, b));
    let mut table = format!("rank,trial,{metric},loss,parameters,seconds,epochs,architecture\n");
    for (rank, (trial, result)) in finished.iter().enumerate() {
        let value = result.metrics.get(&metric).copied().unwrap_or(f64::NAN);
        table.push_str(&format!(
            "{},{},{value},{},{},{:.3},{},\"{}\"\n",
            rank + 1,
            trial.id,
            result.loss,
            trial.candidate.architecture.cost().parameters,
            result.seconds,
            result.curve.len(),
            trial.candidate.architecture,
        ));
    }
    let path = folder.leaderboard();
    replace_durably(&path, table.as_bytes()).map_err(ConcludeError::unwritten(&path))
}
