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
