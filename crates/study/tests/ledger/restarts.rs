//! What holds when the server of a ledger is killed, and when it has just come back.

use study::{
    ledger::{FinishOutcome, LEASE_SECS},
    trial::Sequence,
};

use crate::{
    bench::{Bench, candidate},
    servers::PostgresServer,
};

#[test]
fn a_server_killed_between_two_words_loses_nothing() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let mut bench = Bench::in_postgres(&server, "killed");
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    bench.finish(lease, 0.5);
    server.kill();
    let now = bench.now();
    let error = bench.ledger.propose(&candidate(9), now).unwrap_err();
    assert!(error.may_pass(), "{error}");
    server.resume();
    bench.propose(9);
    assert_eq!(bench.finish(lease, 0.5), FinishOutcome::Again(Sequence(1)));
    assert_eq!(bench.ledger.counts().unwrap().total(), 2);
}

#[test]
fn what_nobody_may_take_yet_after_a_restart_is_not_said_to_be_claimable() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let mut bench = Bench::in_postgres(&server, "restarted");
    let trial = bench.propose(8);
    bench.claim(1).unwrap();
    bench.pass(LEASE_SECS + 1.0);
    let claimable = |bench: &Bench<'_>| bench.ledger.claimable(bench.now()).unwrap();
    server.query("update lehr_restarted.study set grace_secs = 1e6");
    assert_eq!((claimable(&bench), bench.claim(2)), (0, None));
    server.query("update lehr_restarted.study set grace_secs = 0");
    assert_eq!(claimable(&bench), 1);
    assert_eq!(bench.claim(2).map(|lease| lease.trial), Some(trial));
}
