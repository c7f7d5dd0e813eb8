-- The functions by which workers reach a study in PostgreSQL: the contract. Run when a study is made, and again
-- when it is brought to a newer format.
--
-- Every function takes one JSON object and gives one. They run with their owner's rights: a worker's role
-- may call those that it is granted, and touch nothing else. Locks are taken in the order claim, trial, study,
-- node; a claim passes over trials that others hold.

set local search_path = LEHR_SCHEMA;

create or replace function clock() returns float8 language sql volatile as
$$ select extract(epoch from clock_timestamp())::float8 $$;

create or replace function see(who text) returns void language sql volatile as
$$ update node set seen_at = clock(), has_left = false where worker = who $$;

-- Who had it stays known: a result of theirs may still come.
create or replace function requeue(which bigint) returns void language sql volatile as
$$ update trial set state = 'queued', lease_until = null where id = which $$;

-- The next place in the history is taken from the study's row in the transaction that ends a trial: places
-- are given in the order of commits, without gaps. The caller has locked the trial.
create or replace function end_trial(which bigint, r jsonb) returns bigint language plpgsql as $$
declare
    place bigint;
begin
    update study set sequence = sequence + 1 returning sequence into place;
    update trial set state = r->>'state', sequence = place, finished_at = clock(),
        score = (r->>'score')::float8, loss = (r->>'loss')::float8, result = r->>'result',
        failure = r->>'failure', stop = r->>'stop', expected = (r->>'expected')::float8,
        track = r->>'track', lease_until = null, checkpoint = null
    where id = which;
    update study set best = (
        select id from trial where state = 'finished' order by score desc, loss, id limit 1);
    return place;
end $$;

create or replace function propose(r jsonb) returns jsonb language plpgsql
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

-- What is told of a trial that is given out.
create or replace function given(t trial, by_epoch integer) returns jsonb language sql volatile as
$$ select jsonb_build_object('trial', t.id, 'epoch', by_epoch, 'candidate', t.candidate,
                             'checkpoint', t.checkpoint,
                             'parent_candidate', p.candidate, 'parent_result', p.result)
   from (select 1) one left join trial p on p.id = t.parent $$;

-- After a restart of the server, nobody's lease is taken before its holder had time to come back.
create or replace function may_take_lost() returns boolean language sql volatile as
$$ select clock() - extract(epoch from pg_postmaster_start_time()) > grace_secs from study $$;

-- Two probes, each on its own partial index: one `order by` over both states would sort them all.
create or replace function next_to_claim() returns trial language plpgsql as $$
declare
    t trial;
begin
    select * into t from trial where state = 'queued'
    order by urgent desc, id limit 1 for update skip locked;
    if not found and may_take_lost() then
        select * into t from trial where state = 'running' and lease_until < clock()
        order by lease_until limit 1 for update skip locked;
    end if;
    return t;
end $$;

-- The row of the slot's last claim says which claims were carried out: one that is repeated gives what it gave,
-- one that comes too late gives nothing.
create or replace function claim(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    t trial;
begin
    if r->>'number' is null then
        raise exception 'this lehr is older than the study: start the node with the lehr that explores it';
    end if;
    insert into claim as last (worker, slot, incarnation, number)
    values (r->>'worker', (r->>'slot')::integer, (r->>'incarnation')::integer, (r->>'number')::bigint)
    on conflict (worker, slot) do update
    set incarnation = excluded.incarnation, number = excluded.number, trial = null, epoch = null
    where (last.incarnation, last.number) < (excluded.incarnation, excluded.number);
    if not found then
        select trial.* into t from trial join claim last on trial.id = last.trial and trial.epoch = last.epoch
        where trial.state = 'running' and last.worker = r->>'worker' and last.slot = (r->>'slot')::integer
          and last.incarnation = (r->>'incarnation')::integer and last.number = (r->>'number')::bigint;
        return case when t.id is not null then given(t, t.epoch) end;
    end if;
    t := next_to_claim();
    if t.id is null then
        return null;
    end if;
    update trial set state = 'running', epoch = epoch + 1, worker = r->>'worker',
        slot = (r->>'slot')::integer, claimed_at = clock(),
        lease_until = clock() + (select lease_secs from study)
    where id = t.id;
    update claim set trial = t.id, epoch = t.epoch + 1
    where worker = r->>'worker' and slot = (r->>'slot')::integer;
    return given(t, t.epoch + 1);
end $$;

create or replace function beat(r jsonb) returns jsonb language plpgsql
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

create or replace function note_checkpoint(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
begin
    update trial set checkpoint = r->>'checkpoint'
    where id = (r->>'trial')::bigint and epoch = (r->>'epoch')::integer and state = 'running';
    return to_jsonb(found);
end $$;

create or replace function finish(r jsonb) returns jsonb language plpgsql
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
    -- One that waits again was given back, but to nobody else since: its epoch would be another.
    if t.epoch <> (r->>'epoch')::integer or t.state not in ('running', 'queued') then
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

create or replace function release(r jsonb) returns jsonb language plpgsql
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
    -- A trial that crashes again says more of itself than of its node.
    update node set crashes = crashes + 1 where worker = t.worker and t.crashes = 0;
    return jsonb_build_object('is', case when t.crashes + 1 >= (r->>'crashes_max')::integer
                                         then 'given_up' else 'queued' end);
end $$;

create or replace function join_study(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    its_number integer;
    its_incarnation integer;
begin
    update node set host = r->>'host', slots = (r->>'slots')::integer, seen_at = clock(),
        has_left = false, is_exhausted = false, crashes = 0, progress = '[]', incarnation = incarnation + 1
    where worker = r->>'worker' returning number, incarnation into its_number, its_incarnation;
    if its_number is null then
        -- The row stays locked until the number is taken, so that none is given twice.
        update study set nodes = nodes + 1 returning nodes into its_number;
        insert into node (worker, number, host, slots, seen_at, incarnation)
        values (r->>'worker', its_number, r->>'host', (r->>'slots')::integer, clock(), 1)
        returning incarnation into its_incarnation;
    end if;
    return jsonb_build_object('number', its_number, 'incarnation', its_incarnation);
end $$;

create or replace function leave_study(r jsonb) returns jsonb language plpgsql
security definer set search_path = LEHR_SCHEMA, pg_temp as $$
declare
    returned integer;
begin
    with mine as (
        update trial set state = 'queued', lease_until = null
        where state = 'running' and worker = r->>'worker' returning id
    )
    select count(*) into returned from mine;
    update node set has_left = true, seen_at = clock(), progress = '[]' where worker = r->>'worker';
    return to_jsonb(returned);
end $$;

create or replace function note_exhausted(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ update node set is_exhausted = true where worker = r->>'worker' returning null::jsonb $$;

create or replace function note_process(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ insert into process (worker, role, process, started_at)
   values (r->>'worker', r->>'role', (r->>'process')::bigint, clock()) returning null::jsonb $$;

create or replace function proposals_of(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce((select to_jsonb(count) from proposals_by where worker = r->>'worker'), '0') $$;

create or replace function study_record(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('version', version, 'config', config, 'data', data,
                             'trials_max', proposals_left, 'lease_secs', lease_secs) from study $$;

create or replace function standing(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('at', clock(), 'spent_seconds', spent_seconds + greatest(0, clock() - counted_at),
                             'proposals_left', proposals_left, 'kept_back', kept_back, 'ending', ending,
                             'best', best)
   from study $$;

-- What `next_to_claim` would give. Counted only as far as anybody needs to know: a long queue is not walked at
-- every beat.
create or replace function claimable(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select to_jsonb((select count(*) from (select 1 from trial where state = 'queued'
                                          limit (r->>'most')::bigint) waiting)
                 + case when may_take_lost() then
                   (select count(*) from (select 1 from trial where state = 'running' and lease_until < clock()
                                          limit (r->>'most')::bigint) lost) else 0 end) $$;

create or replace function history(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(h) order by h.sequence), '[]')
   from (select sequence, id, candidate, score, expected from trial
         where sequence > (r->>'after')::bigint order by sequence limit (r->>'page')::bigint) h $$;

create or replace function pending(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(p) order by p.id), '[]')
   from (select id, candidate from trial
         where state in ('queued', 'running') and id > (r->>'after_trial')::bigint) p $$;

create or replace function ended(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(e) order by e.sequence), '[]')
   from (select * from trial where sequence > (r->>'after')::bigint
         order by sequence limit (r->>'page')::bigint) e $$;

-- What others compare their trainings with: a hundredth of the whole row, which every node reads of every trial.
create or replace function tracks(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(t) order by t.sequence), '[]')
   from (select sequence, id, case when urgent then null else track end as track from trial
         where sequence > (r->>'after')::bigint order by sequence limit (r->>'page')::bigint) t $$;

create or replace function crashes_of(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce((select to_jsonb(crashes) from node where worker = r->>'worker'), '0') $$;

create or replace function nodes(r jsonb) returns jsonb language sql stable
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select coalesce(jsonb_agg(to_jsonb(n) || jsonb_build_object('progress', n.progress::jsonb)
                             order by n.number), '[]') from node n $$;

create or replace function unheard(r jsonb) returns jsonb language sql volatile
security definer set search_path = LEHR_SCHEMA, pg_temp as
$$ select jsonb_build_object('standing', standing(r), 'ended', (select sequence from study),
                             'claimable', claimable(r), 'crashes', crashes_of(r),
                             'history', history(r), 'pending', pending(r)) $$;

revoke all on all functions in schema LEHR_SCHEMA from public;
