//! `lehr clean`: weights of a study's trials that nobody needs any more go; everything else of them stays.

use anyhow::{Result, bail};
use serde_json::json;
use study::{
    clean::{Cleaned, Extent, clean},
    store::sweep::Keep,
    trial::Bytes,
};

use crate::{args::CleanArgs, command::read_study, show};

pub(crate) fn run(args: &CleanArgs) -> Result<String> {
    if args.keep == 0 {
        bail!("--keep 0 would leave no model: keep at least the best one, --keep 1");
    }
    let study = read_study(&args.study)?;
    let keep = Keep {
        best: args.keep,
        ..Keep::default()
    };
    let extent = match args.dry_run {
        true => Extent::Said,
        false => Extent::Done,
    };
    let cleaned = clean(&study.folder, &study.config, keep, extent)?;
    Ok(match args.json {
        true => show::pretty_json(&json!({
            "dry_run": args.dry_run,
            "removed": cleaned.removed,
            "removed_bytes": cleaned.removed_bytes,
            "kept": cleaned.kept,
            "kept_bytes": cleaned.kept_bytes,
        })),
        false => text(args, cleaned),
    })
}

fn text(args: &CleanArgs, cleaned: Cleaned) -> String {
    let Cleaned {
        removed,
        removed_bytes,
        kept,
        kept_bytes,
    } = cleaned;
    let (said, left) = match args.dry_run {
        true => ("would remove", "would be left"),
        false => ("removed", "left"),
    };
    let best = match args.keep {
        1 => "those of the best trial".to_string(),
        count => format!("those of the best {count} trials"),
    };
    format!(
        "{said} the weights in {removed} of {} files: {} before, {} {left}\n\
         kept {kept}: {best}, and what waiting trials, the front and the comparisons need\n",
        removed + kept,
        Bytes(removed_bytes + kept_bytes),
        Bytes(kept_bytes),
    )
}
