-- A study of format 4 in PostgreSQL, as it was; never changed.
-- A study in PostgreSQL: its tables, and the functions by which workers reach them. lehr replaces
-- LEHR_SCHEMA by the name of the study's schema, and runs all of it in one transaction.
--
-- Every function takes one JSON object and gives one. They run with their owner's rights: a worker's role
-- may call those that it is granted, and touch nothing else. Locks are taken in the order trial, study,
-- node; a claim passes over trials that others hold.

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
    progress     text not null default '[]'
) with (fillfactor = 50);
create table proposals_by (
    worker text primary key,
    count  bigint not null
) with (fillfactor = 50);

create function clock() returns float8 language sql volatile as
$$ select extract(epoch from clock_timestamp())::float8 $$;

create function see(who text) returns void language sql volatile as
$$ update node set seen_at = clock(), has_left = false where worker = who $$;

create function requeue(which bigint) returns void language sql volatile as
$$ update trial set state = 'queued', worker = null, slot = null, claimed_at = null, lease_until = null
   where id = which $$;

-- The next place in the history is taken from the study's row in the transaction that ends a trial: places
-- are given in the order of commits, without gaps. The caller has locked the trial.
create function end_trial(which bigint, r jsonb) returns bigint language plpgsql as $$
declare
    place bigint;
begin
    update study set sequence = sequence + 1 returning sequence into place;
    update trial set state = r->>'state', sequence = place, finished_at = clock(),
        score = (r->>'score')::float8, loss = (r->>'loss')::float8, result = r->>'result',
        failure = r->>'failure', stop = r->>'stop', expected = (r->>'expected')::float8,
        lease_until = null, checkpoint = null
    where id = which;
    update study set best = (
        select id from trial where state = 'finished' order by score desc, loss, id limit 1);
    return place;
end $$;

create function propose(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    s study;
begin
    select * into s from study for update;
    if s.proposals_left <= (case when (r->>'urgent')::boolean then 0 else s.kept_back end) then
        return '{"is": "budget_spent"}';
    end if;
    insert into trial (id, fingerprint, candidate, parent, urgent, proposed_at)
    values (s.trials + 1, r->>'fingerprint', r->>'candidate', (r->>'parent')::bigint,
            (r->>'urgent')::boolean, clock())
    on conflict (fingerprint) do nothing;
    if not found then
        return '{"is": "duplicate"}';
    end if;
    update study set trials = trials + 1, proposals_left = proposals_left - 1;
    insert into proposals_by as p (worker, count) values (r->>'worker', 1)
    on conflict (worker) do update set count = p.count + 1;
    return jsonb_build_object('is', 'accepted', 'trial', s.trials + 1);
end $$;

-- Two probes, each on its own partial index: one `order by` over both states would sort them all.
-- After a restart of the server, nobody's lease is taken before its holder had time to come back.
create function claim(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    s study;
    t trial;
begin
    select * into s from study;
    select * into t from trial where state = 'queued'
    order by urgent desc, id limit 1 for update skip locked;
    if not found and clock() - extract(epoch from pg_postmaster_start_time()) > s.grace_secs then
        select * into t from trial where state = 'running' and lease_until < clock()
        order by lease_until limit 1 for update skip locked;
    end if;
    if t.id is null then
        return null;
    end if;
    update trial set state = 'running', epoch = epoch + 1, worker = r->>'worker',
        slot = (r->>'slot')::integer, claimed_at = clock(), lease_until = clock() + s.lease_secs
    where id = t.id;
    return (select jsonb_build_object('trial', t.id, 'epoch', t.epoch + 1, 'candidate', t.candidate,
                                      'checkpoint', t.checkpoint,
                                      'parent_candidate', p.candidate, 'parent_result', p.result)
            from (select 1) one left join trial p on p.id = t.parent);
end $$;

create function beat(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    lost jsonb;
begin
    with told as (
        select * from jsonb_to_recordset(r->'leases') as lease (trial bigint, epoch integer)
    ), held as (
        update trial set lease_until = clock() + (select lease_secs from study)
        from told where id = told.trial and trial.epoch = told.epoch and state = 'running'
        returning id
    )
    select coalesce(jsonb_agg(to_jsonb(told)), '[]') into lost
    from told where told.trial not in (select id from held);
    perform see(r->>'worker');
    update node set progress = r->>'progress' where worker = r->>'worker';
    return lost;
end $$;

create function note_checkpoint(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
begin
    update trial set checkpoint = r->>'checkpoint'
    where id = (r->>'trial')::bigint and epoch = (r->>'epoch')::integer and state = 'running';
    return to_jsonb(found);
end $$;

create function finish(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    t trial;
    place bigint;
begin
    select * into t from trial where id = (r->>'trial')::bigint for update;
    if not found then
        return '{"is": "no_such_trial"}';
    end if;
    if t.epoch = (r->>'epoch')::integer and t.sequence is not null then
        return jsonb_build_object('is', 'again', 'sequence', t.sequence);
    end if;
    if t.epoch <> (r->>'epoch')::integer or t.state <> 'running' then
        insert into stray (trial, epoch, result, at)
        values (t.id, (r->>'epoch')::integer,
                coalesce(r->>'result', r->>'stop', r->>'failure'), clock());
        return '{"is": "stray"}';
    end if;
    place := end_trial(t.id, r);
    update node set crashes = 0 where worker = t.worker and crashes > 0;
    return jsonb_build_object('is', 'recorded', 'sequence', place,
                              'is_best', (select best is not distinct from t.id from study));
end $$;

create function release(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    t trial;
begin
    select * into t from trial
    where id = (r->>'trial')::bigint and epoch = (r->>'epoch')::integer and state = 'running'
    for update;
    if not found then
        return '{"is": "not_held"}';
    end if;
    if r->>'crash' is null then
        update trial set checkpoint = coalesce(r->>'checkpoint', checkpoint) where id = t.id;
        perform requeue(t.id);
        return '{"is": "queued"}';
    end if;
    insert into crash (trial, epoch, at, message) values (t.id, t.epoch, clock(), r->>'crash');
    update trial set crashes = crashes + 1 where id = t.id;
    if t.crashes + 1 >= (r->>'crashes_max')::integer then
        perform end_trial(t.id, jsonb_build_object('state', 'failed', 'failure', r->>'failure'));
    else
        perform requeue(t.id);
    end if;
    update node set crashes = crashes + 1 where worker = t.worker;
    return jsonb_build_object('is', case when t.crashes + 1 >= (r->>'crashes_max')::integer
                                         then 'given_up' else 'queued' end);
end $$;

create function join_study(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    given integer;
begin
    update node set host = r->>'host', slots = (r->>'slots')::integer, seen_at = clock(),
        has_left = false, is_exhausted = false, crashes = 0, progress = '[]'
    where worker = r->>'worker' returning number into given;
    if given is null then
        -- The row stays locked until the number is taken, so that none is given twice.
        update study set nodes = nodes + 1 returning nodes into given;
        insert into node (worker, number, host, slots, seen_at)
        values (r->>'worker', given, r->>'host', (r->>'slots')::integer, clock());
    end if;
    return to_jsonb(given);
end $$;

create function leave_study(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    returned integer;
begin
    with mine as (
        update trial set state = 'queued', worker = null, slot = null, claimed_at = null, lease_until = null
        where state = 'running' and worker = r->>'worker' returning id
    )
    select count(*) into returned from mine;
    update node set has_left = true, seen_at = clock(), progress = '[]' where worker = r->>'worker';
    return to_jsonb(returned);
end $$;

create function note_exhausted(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ update node set is_exhausted = true where worker = r->>'worker' returning null::jsonb $$;

create function note_process(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ insert into process (worker, role, process, started_at)
   values (r->>'worker', r->>'role', (r->>'process')::bigint, clock()) returning null::jsonb $$;

create function proposals_of(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce((select to_jsonb(count) from proposals_by where worker = r->>'worker'), '0') $$;

create function study_record(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('version', version, 'config', config, 'data', data,
                             'trials_max', proposals_left, 'lease_secs', lease_secs) from study $$;

create function standing(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('at', clock(), 'spent_seconds', spent_seconds + greatest(0, clock() - counted_at),
                             'proposals_left', proposals_left, 'kept_back', kept_back, 'ending', ending,
                             'best', best)
   from study $$;

-- Counted only as far as anybody needs to know: a long queue is not walked at every beat.
create function claimable(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select to_jsonb((select count(*) from (select 1 from trial where state = 'queued'
                                          limit (r->>'most')::bigint) waiting)
                 + (select count(*) from (select 1 from trial where state = 'running' and lease_until < clock()
                                          limit (r->>'most')::bigint) lost)) $$;

create function history(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(h) order by h.sequence), '[]')
   from (select sequence, id, candidate, score, expected from trial
         where sequence > (r->>'after')::bigint order by sequence limit (r->>'page')::bigint) h $$;

create function pending(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(p) order by p.id), '[]')
   from (select id, candidate from trial
         where state in ('queued', 'running') and id > (r->>'after_trial')::bigint) p $$;

create function ended(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(e) order by e.sequence), '[]')
   from (select * from trial where sequence > (r->>'after')::bigint
         order by sequence limit (r->>'page')::bigint) e $$;

create function crashes_of(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce((select to_jsonb(crashes) from node where worker = r->>'worker'), '0') $$;

create function nodes(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(n) || jsonb_build_object('progress', n.progress::jsonb)
                             order by n.number), '[]') from node n $$;

create function unheard(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('standing', standing(r), 'ended', (select sequence from study),
                             'claimable', claimable(r), 'crashes', crashes_of(r),
                             'history', history(r), 'pending', pending(r)) $$;

revoke all on all functions in schema LEHR_SCHEMA from public;

-- The role by which workers enter: it may call these functions, and touch nothing else.
do $$ begin
    -- Where it is allowed, the password stays out of the server's log.
    set local log_statement = 'none';
    set local log_min_error_statement = 'panic';
    set local log_min_duration_statement = -1;
exception when insufficient_privilege then null; end $$;
do $$ begin
    create role LEHR_SCHEMA login;
exception when duplicate_object then null; end $$;
alter role LEHR_SCHEMA login password LEHR_PASSWORD;
grant usage on schema LEHR_SCHEMA to LEHR_SCHEMA;
grant execute on function
    LEHR_SCHEMA.propose, LEHR_SCHEMA.claim, LEHR_SCHEMA.beat, LEHR_SCHEMA.note_checkpoint, LEHR_SCHEMA.finish,
    LEHR_SCHEMA.release,
    LEHR_SCHEMA.join_study, LEHR_SCHEMA.leave_study, LEHR_SCHEMA.note_exhausted,
    LEHR_SCHEMA.note_process, LEHR_SCHEMA.proposals_of, LEHR_SCHEMA.study_record, LEHR_SCHEMA.standing,
    LEHR_SCHEMA.claimable, LEHR_SCHEMA.history, LEHR_SCHEMA.pending, LEHR_SCHEMA.ended,
    LEHR_SCHEMA.crashes_of, LEHR_SCHEMA.nodes, LEHR_SCHEMA.unheard
to LEHR_SCHEMA;
