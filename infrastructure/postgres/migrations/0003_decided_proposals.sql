-- When a proposal was decided on, for its retention.

ALTER TABLE pattern_proposal ADD COLUMN decided double precision NOT NULL DEFAULT 0;
