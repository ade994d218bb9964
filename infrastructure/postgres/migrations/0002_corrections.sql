-- What persons have said of windows, and how many of their corrections a proposal rests on.

CREATE TABLE correction (
    id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C" NOT NULL, app text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL, title text COLLATE "C" NOT NULL, category text NOT NULL, made_by text NOT NULL,
    time double precision NOT NULL, state text NOT NULL, logs bigint NOT NULL, seconds double precision NOT NULL
);
ALTER TABLE pattern_proposal ADD COLUMN corrections bigint NOT NULL DEFAULT 0;
