-- From format 4 to 5: claims have keys, masters have terms, and trials that end from now on have tracks.
-- `functions.sql` and `grant.sql` follow in the same transaction; to run it twice changes nothing.
set local search_path = LEHR_SCHEMA;
lock table trial, study, node in access exclusive mode;
do $$ begin
    if (select version from LEHR_SCHEMA.study) = 4 then
        alter table LEHR_SCHEMA.study add column leader_epoch bigint not null default 0;
        alter table LEHR_SCHEMA.node add column incarnation integer not null default 0;
        create table LEHR_SCHEMA.claim (
            worker      text not null,
            slot        integer not null,
            incarnation integer not null,
            number      bigint not null,
            trial       bigint references LEHR_SCHEMA.trial (id),
            epoch       integer,
            primary key (worker, slot)
        ) with (fillfactor = 50);
        alter table LEHR_SCHEMA.trial add column track text;
        update LEHR_SCHEMA.study set version = 5;
    end if;
end $$;
