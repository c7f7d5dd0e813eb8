//! `[ledger]`: where a study's ledger is, if it is not a file in the study's folder.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use study::{
    cluster::invitation::LedgerPlace,
    ledger::{LEASE_SECS, StudyName},
};

use crate::args::ExploreArgs;

/// Shortest lease: a node that is not heard of for so long may only have been busy.
const LEASE_SECS_MIN: f64 = 2.0;

/// `[ledger]`: a database that several machines reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerToml {
    /// The database, as in `postgres://USER@HOST:PORT/DATABASE`; the password comes from ~/.pgpass or
    /// PGPASSWORD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// What the study is called there; told from the study's folder if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) study: Option<String>,
    /// Where nodes find prepared rows and weights: a directory that all see, `s3://BUCKET/PREFIX`, `gs://…`,
    /// `az://…` or `rclone:REMOTE:PATH`; the study's folder if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    /// How long a node may be silent before its trials are given to others, as in `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
}

impl From<&LedgerPlace> for LedgerToml {
    fn from(place: &LedgerPlace) -> LedgerToml {
        let lease = Duration::from_secs_f64(place.lease_secs);
        LedgerToml {
            address: Some(place.ledger.to_string()),
            study: Some(place.study.to_string()),
            store: place.store.as_ref().map(ToString::to_string),
            lease: Some(humantime::format_duration(lease).to_string()),
        }
    }
}

impl LedgerToml {
    pub(super) fn is_absent(&self) -> bool {
        *self == LedgerToml::default()
    }

    /// Flags win.
    pub(super) fn apply_flags(&mut self, args: &ExploreArgs) {
        let place = &args.place;
        let lease = place.lease.map(humantime::format_duration);
        for (typed, flag) in [
            (&mut self.address, place.ledger.clone()),
            (&mut self.study, place.study.clone()),
            (&mut self.store, place.store.clone()),
            (&mut self.lease, lease.map(|lease| lease.to_string())),
        ] {
            if flag.is_some() {
                *typed = flag;
            }
        }
    }

    /// Where the ledger of the study in this folder is; `None` if it is a file there.
    pub(crate) fn decided(&self, out: &Path) -> Result<Option<LedgerPlace>> {
        let Some(address) = &self.address else {
            ensure!(
                self.is_absent(),
                "`study`, `store` and `lease` say something about a ledger in a database: give its address with --ledger"
            );
            return Ok(None);
        };
        let study = match &self.study {
            Some(study) => study.parse()?,
            None => named_after(out)?,
        };
        let lease = self.lease.as_deref().map(humantime::parse_duration);
        let lease = lease.transpose().context("`lease` is no time like `60s`")?;
        let lease_secs = lease.as_ref().map_or(LEASE_SECS, Duration::as_secs_f64);
        ensure!(
            lease_secs >= LEASE_SECS_MIN,
            "the lease is {lease_secs} s: it must be at least {LEASE_SECS_MIN} s"
        );
        Ok(Some(LedgerPlace {
            ledger: address.parse()?,
            study,
            lease_secs,
            store: self.store.as_deref().map(str::parse).transpose()?,
        }))
    }
}

/// `My-Digits.lehr` becomes `my_digits`.
fn named_after(out: &Path) -> Result<StudyName> {
    let name = out.file_stem().unwrap_or_default().to_string_lossy();
    let letters = name.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    });
    letters.collect::<String>().parse().with_context(|| {
        format!(
            "the study in `{}` needs a name in the database: give --study",
            out.display()
        )
    })
}
