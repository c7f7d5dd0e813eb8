-- A ledger of format 4 in SQLite, as it was; never changed.
create table study (
    only_row       integer primary key check (only_row = 1),
    config         text not null,
    data           text not null,
    proposals_left integer,
    sequence       integer not null default 0,
    spent_seconds  real not null default 0,
    counted_at     real not null,
    kept_back      integer not null default 0,
    ending         text,
    leader         text,
    leader_until   real,
    created_at     real not null,
    best           integer references trial (id)
) strict;
create table trial (
    id          integer primary key,
    fingerprint text not null unique,
    candidate   text not null,
    urgent      integer not null default 0 check (urgent in (0, 1)),
    state       text not null check (state in ('queued', 'running', 'finished', 'stopped', 'failed')),
    epoch       integer not null default 0,
    crashes     integer not null default 0,
    proposed_at real not null,
    worker      text,
    slot        integer,
    claimed_at  real,
    lease_until real,
    finished_at real,
    sequence    integer unique,
    score       real,
    loss        real,
    result      text,
    stop        text,
    expected    real,
    failure     text,
    checkpoint  text,
    check ((state in ('finished', 'stopped', 'failed')) = (sequence is not null)),
    check ((state = 'finished') = (result is not null)),
    check ((state = 'stopped') = (stop is not null)),
    check ((state = 'failed') = (failure is not null))
) strict;
create index trial_queued on trial (urgent desc, id) where state = 'queued';
create index trial_running on trial (lease_until) where state = 'running';
create table stray (
    trial  integer not null references trial (id),
    epoch  integer not null,
    result text not null
) strict;
create table crash (
    trial   integer not null references trial (id),
    epoch   integer not null,
    at      real not null,
    message text not null
) strict;
create table process (
    worker     text not null,
    role       text not null,
    process    integer not null,
    started_at real not null
) strict;
create table node (
    worker       text primary key,
    number       integer not null unique,
    host         text not null,
    slots        integer not null,
    seen_at      real not null,
    has_left     integer not null default 0,
    is_exhausted integer not null default 0,
    crashes      integer not null default 0,
    progress     text not null default '[]'
) strict;
create table proposals_by (
    worker text primary key,
    count  integer not null
) strict;
