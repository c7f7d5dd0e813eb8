-- What the role of a study's workers may do: call these functions.
grant usage on schema LEHR_SCHEMA to LEHR_SCHEMA;
grant execute on function
    LEHR_SCHEMA.propose, LEHR_SCHEMA.claim, LEHR_SCHEMA.beat, LEHR_SCHEMA.note_checkpoint, LEHR_SCHEMA.finish,
    LEHR_SCHEMA.release,
    LEHR_SCHEMA.join_study, LEHR_SCHEMA.leave_study, LEHR_SCHEMA.note_exhausted,
    LEHR_SCHEMA.note_process, LEHR_SCHEMA.proposals_of, LEHR_SCHEMA.study_record, LEHR_SCHEMA.standing,
    LEHR_SCHEMA.claimable, LEHR_SCHEMA.history, LEHR_SCHEMA.pending, LEHR_SCHEMA.ended,
    LEHR_SCHEMA.tracks,
    LEHR_SCHEMA.crashes_of, LEHR_SCHEMA.nodes, LEHR_SCHEMA.unheard
to LEHR_SCHEMA;
