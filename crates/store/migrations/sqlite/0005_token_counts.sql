-- Tokens of an answer that have prices of their own; NULL where they are unknown, as they are of all answers before this.
ALTER TABLE outcomes ADD COLUMN cache_write_tokens REAL;
ALTER TABLE outcomes ADD COLUMN reasoning_tokens REAL;
