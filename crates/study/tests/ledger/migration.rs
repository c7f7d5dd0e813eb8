//! A ledger of the format before is opened, and all is as it was.

use std::path::Path;

use rusqlite::Connection;
use study::{
    ledger::{Admission, LEASE_SECS, Ledger, Postgres, Sqlite},
    trial::{Instant, Lease, LeaseEpoch, TrialState},
};

use crate::{
    bench::{Bench, candidate, record, recorded, result},
    servers::PostgresServer,
};

/// What an older lehr left: a finished trial, one that runs, one that waits.
fn rows(prefix: &str) -> String {
    let text = |value: String| value.replace('\'', "''");
    let trial = |units: u32| {
        let candidate = candidate(units);
        let json = serde_json::to_string(&candidate).unwrap();
        (candidate.fingerprint(), text(json))
    };
    let [finished, running, queued] = [8, 9, 10].map(trial);
    let told = text(serde_json::to_string(&result(0.7, 0.3)).unwrap());
    format!(
        "insert into {prefix}node (worker, number, host, slots, seen_at) values ('node-1', 1, 'host', 2, 5.0);
         insert into {prefix}trial (id, fingerprint, candidate, state, proposed_at) values
         (3, '{}', '{}', 'queued', 1.0);
         insert into {prefix}trial (id, fingerprint, candidate, state, epoch, proposed_at, worker, slot, claimed_at,
         lease_until) values (2, '{}', '{}', 'running', 4, 1.0, 'node-1', 0, 2.0, 1e12);
         insert into {prefix}trial (id, fingerprint, candidate, state, epoch, proposed_at, worker, slot, claimed_at,
         finished_at, sequence, score, loss, result) values
         (1, '{}', '{}', 'finished', 1, 1.0, 'node-1', 0, 2.0, 3.0, 1, 0.7, 0.3, '{told}');
         update {prefix}study set sequence = 1, best = 1;",
        queued.0, queued.1, running.0, running.1, finished.0, finished.1,
    )
}

fn finds_all_as_it_was(bench: &mut Bench<'_>) {
    let trials = bench.ledger.trials().unwrap();
    let models: Vec<_> = trials.iter().map(|trial| trial.candidate.clone()).collect();
    assert_eq!(models, [8, 9, 10].map(candidate));
    assert!(
        matches!(&trials[0].state, TrialState::Finished { result: told, .. } if *told == result(0.7, 0.3))
    );
    assert_eq!(bench.ledger.best().unwrap().unwrap().id, trials[0].id);
    // Whoever runs the second goes on, and the third is given out.
    let running = Lease {
        trial: trials[1].id,
        epoch: LeaseEpoch(4),
    };
    assert_eq!(bench.beat(1, &[running]), Vec::new());
    assert_eq!(bench.finish(running, 0.9), recorded(2, true));
    assert_eq!(bench.join(1), 1);
    assert_eq!(bench.claim(1).unwrap().trial, trials[2].id);
    bench.keep_back(1);
}

fn of_format_4(path: &Path) {
    let old = Connection::open(path).unwrap();
    let schema = include_str!("format_4_sqlite.sql");
    old.execute_batch(schema).unwrap();
    old.execute_batch(
        "insert into study (only_row, config, data, created_at, counted_at) values (1, '{}', 'digits', 0.0, 0.0);
         pragma user_version = 4;",
    )
    .unwrap();
    old.execute_batch(&rows("")).unwrap();
}

/// Tables with their columns, and indexes.
fn shape(path: &Path) -> Vec<(String, Vec<String>)> {
    let connection = Connection::open(path).unwrap();
    let listed = |statement: &str, of: &str| -> Vec<String> {
        let mut statement = connection.prepare(statement).unwrap();
        let names = statement.query_map([of], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    let names = listed(
        "select name from sqlite_schema where name > ?1 order by 1",
        "",
    );
    let columns = "select name from pragma_table_info(?1) order by 1";
    names
        .into_iter()
        .map(|name| (name.clone(), listed(columns, &name)))
        .collect()
}

#[test]
fn a_file_brought_up_to_date_has_the_shape_of_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    of_format_4(&old);
    drop(Sqlite::open(&old).unwrap());
    drop(Sqlite::create(&new, &record(None), Instant(0.0)).unwrap());
    assert_eq!(shape(&old), shape(&new));
}

#[test]
fn a_file_of_format_4_is_read_as_it_is_and_brought_up_to_date_by_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    of_format_4(&path);
    let reader: Box<dyn Ledger> = Box::new(Sqlite::open_to_read(&path).unwrap());
    assert_eq!(reader.trials().unwrap().len(), 3);
    assert!(reader.standing(Instant(1.0)).unwrap().best.is_some());
    drop(reader);
    drop(Sqlite::open(&path).unwrap());
    let again = Sqlite::open(&path).unwrap();
    finds_all_as_it_was(&mut Bench::on(Box::new(again)));
}

#[test]
fn a_database_of_format_4_is_brought_up_to_date_by_its_owner_and_nobody_else() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let schema = include_str!("format_4_postgres.sql")
        .replace("LEHR_SCHEMA", "lehr_old")
        .replace("LEHR_PASSWORD", "'secret'");
    let study = format!(
        "insert into lehr_old.study (only_row, version, config, data, lease_secs, grace_secs, trials, nodes,
         created_at, counted_at) values (1, 4, '{{}}', 'digits', {LEASE_SECS}, 0, 3, 1, 0, 0);"
    );
    let rows = rows("lehr_old.");
    server.query(&format!("begin; {schema} {study} {rows} commit"));
    let (address, name) = (server.address(), "old".parse().unwrap());
    let admission = Admission {
        ledger: address.entered_as("lehr_old"),
        study: "old".parse().unwrap(),
        password: Some("secret".to_string()),
    };
    let refused = Postgres::admitted(&admission).unwrap_err().to_string();
    assert!(
        refused.contains("`lehr explore` of this version"),
        "{refused}"
    );
    let reader: Box<dyn Ledger> = Box::new(Postgres::open_to_read(&address, &name).unwrap());
    assert_eq!(reader.trials().unwrap().len(), 3);
    drop(Postgres::open(&address, &name).unwrap());
    let owner = Postgres::open(&address, &name).unwrap();
    // Nodes enter by the role that they had.
    let mut worker = Bench::on(Box::new(Postgres::admitted(&admission).unwrap()));
    assert_eq!(worker.join(2), 2);
    finds_all_as_it_was(&mut Bench::on(Box::new(owner)));
}
