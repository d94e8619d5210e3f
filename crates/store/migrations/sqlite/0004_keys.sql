-- Clients' keys. Rows stay when a key ends: that there ever was one is what closes an open gateway.
CREATE TABLE api_keys (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    digest  BLOB NOT NULL UNIQUE,
    hint    TEXT NOT NULL,
    grants  TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT;

-- What each account with a budget has spent or reserved per day since 1970 (UTC), in 10⁻⁹ USD: whole numbers, so that sums are exact.
CREATE TABLE spending (
    account  TEXT NOT NULL,
    day      INTEGER NOT NULL,
    nano_usd INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
