-- The documents that MongoDB has where there is a Spring server, and the pipeline's own.
-- Texts are ordered by their bytes, as everywhere else.

CREATE TABLE category_pattern (
    id text COLLATE "C" PRIMARY KEY, category text COLLATE "C" NOT NULL, priority integer,
    app_patterns text[] NOT NULL, domain_patterns text[] NOT NULL
);
CREATE TABLE categorized_data (
    id text COLLATE "C" PRIMARY KEY, app text COLLATE "C" NOT NULL, url text COLLATE "C" NOT NULL,
    title text COLLATE "C" NOT NULL, category_id text COLLATE "C", is_llm_based boolean NOT NULL
);
-- by a digest: a URL may be longer than an entry of an index
CREATE INDEX categorized_data_window ON categorized_data (md5(app || chr(10) || url || chr(10) || title));
CREATE INDEX categorized_data_category ON categorized_data (category_id, id);
CREATE TABLE pomodoro_usage_log (
    id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C" NOT NULL, categorized_data_id text COLLATE "C" NOT NULL,
    category_id text COLLATE "C", session bigint NOT NULL, session_minutes bigint NOT NULL, session_date date NOT NULL,
    timestamp double precision NOT NULL, duration double precision NOT NULL
);
CREATE INDEX pomodoro_usage_log_session ON pomodoro_usage_log (user_id, session_date, session);
CREATE INDEX pomodoro_usage_log_time ON pomodoro_usage_log (user_id, timestamp);
CREATE TABLE pattern_proposal (
    id text COLLATE "C" PRIMARY KEY, kind text NOT NULL, pattern text NOT NULL, category text NOT NULL,
    answers bigint NOT NULL, windows bigint NOT NULL, others text NOT NULL, examples text[] NOT NULL, status text NOT NULL,
    site double precision NOT NULL
);
CREATE TABLE site_profile (
    site text COLLATE "C" PRIMARY KEY, visited_at double precision NOT NULL, state text NOT NULL, outcome text,
    detail text NOT NULL, facts text NOT NULL, category text NOT NULL, confidence double precision NOT NULL,
    evidence text NOT NULL
);
CREATE TABLE focus_card (
    user_id text COLLATE "C" NOT NULL, period text COLLATE "C" NOT NULL, starts date NOT NULL, revision bigint NOT NULL,
    signature text NOT NULL, rank bigint NOT NULL, users bigint NOT NULL, as_of text NOT NULL, document text NOT NULL,
    PRIMARY KEY (user_id, period, starts)
);
CREATE INDEX focus_card_rank ON focus_card (period, starts, rank);
