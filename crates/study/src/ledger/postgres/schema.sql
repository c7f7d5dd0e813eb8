-- The tables of a study in PostgreSQL. lehr replaces LEHR_SCHEMA by the name of the study's schema, and runs
-- this, `functions.sql`, `admit.sql` and `grant.sql` in one transaction.

create schema LEHR_SCHEMA;
set local search_path = LEHR_SCHEMA;

create table study (
    only_row       integer primary key check (only_row = 1),
    version        integer not null,
    config         text not null,
    data           text not null,
    lease_secs     float8 not null,
    grace_secs     float8 not null,
    proposals_left bigint,
    kept_back      bigint not null default 0,
    trials         bigint not null default 0,
    nodes          integer not null default 0,
    sequence       bigint not null default 0,
    spent_seconds  float8 not null default 0,
    created_at     float8 not null,
    counted_at     float8 not null,
    ending         text,
    leader         text,
    leader_until   float8,
    leader_epoch   bigint not null default 0,
    best           bigint
) with (fillfactor = 20);

create table trial (
    id          bigint primary key,
    fingerprint text not null unique,
    candidate   text not null,
    parent      bigint references trial (id),
    urgent      boolean not null default false,
    state       text not null default 'queued'
                check (state in ('queued', 'running', 'finished', 'stopped', 'failed')),
    epoch       integer not null default 0,
    crashes     integer not null default 0,
    proposed_at float8 not null,
    worker      text,
    slot        integer,
    claimed_at  float8,
    lease_until float8,
    finished_at float8,
    sequence    bigint unique,
    score       float8,
    loss        float8,
    result      text,
    stop        text,
    expected    float8,
    failure     text,
    checkpoint  text,
    track       text,
    check ((state in ('finished', 'stopped', 'failed')) = (sequence is not null)),
    check ((state = 'finished') = (result is not null)),
    check ((state = 'stopped') = (stop is not null)),
    check ((state = 'failed') = (failure is not null))
) with (fillfactor = 70);
create index trial_queued on trial (urgent desc, id) where state = 'queued';
create index trial_running on trial (lease_until) where state = 'running';
create index trial_best on trial (score desc, loss, id) where state = 'finished';

create table stray (
    trial  bigint not null references trial (id),
    epoch  integer not null,
    result text not null,
    at     float8 not null
);
create table crash (
    trial   bigint not null references trial (id),
    epoch   integer not null,
    at      float8 not null,
    message text not null
);
create table process (
    worker     text not null,
    role       text not null,
    process    bigint not null,
    started_at float8 not null
);
create table node (
    worker       text primary key,
    number       integer not null unique,
    host         text not null,
    slots        integer not null,
    seen_at      float8 not null,
    has_left     boolean not null default false,
    is_exhausted boolean not null default false,
    crashes      integer not null default 0,
    progress     text not null default '[]',
    incarnation  integer not null default 0
) with (fillfactor = 50);
create table proposals_by (
    worker text primary key,
    count  bigint not null
) with (fillfactor = 50);
-- The last claim of each slot, and what it was given.
create table claim (
    worker      text not null,
    slot        integer not null,
    incarnation integer not null,
    number      bigint not null,
    trial       bigint references trial (id),
    epoch       integer,
    primary key (worker, slot)
) with (fillfactor = 50);
