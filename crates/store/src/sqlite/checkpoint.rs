//! Moves what is in the write-ahead log into the database. SQLite would have the commit do it that fills the log, and whoever waits for that
//! commit would wait for it too.

use rusqlite::Connection;

/// Pages that are moved together, as many as SQLite moves if nothing else is said.
const PAGES: i64 = 1_000;

/// From now on this connection's commits move nothing: [`checkpoint`] does.
pub(super) fn apart(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))
}

/// Moves what is in the log if it is long enough. After a step that made the database shorter it always is: the file is cut off when the log
/// is moved, and the file system takes 10 ms for some megabytes at once.
pub(super) fn checkpoint(connection: &Connection, shortened: bool) -> Result<(), rusqlite::Error> {
    if unmoved(connection, "NOOP")? >= PAGES || (shortened && is_to_be_cut(connection)?) {
        // Pages that a reader still needs stay in the log until the next time.
        unmoved(connection, "PASSIVE")?;
    }
    Ok(())
}

/// Pages of the log that are not in the database after a checkpoint of this kind.
fn unmoved(connection: &Connection, kind: &str) -> Result<i64, rusqlite::Error> {
    let mut checkpoint = connection.prepare_cached(&format!("PRAGMA wal_checkpoint({kind})"))?;
    checkpoint.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
}

/// Whether the file is longer than the database in it.
fn is_to_be_cut(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let file = connection.path().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |file| file.len());
    Ok(file > number("page_count")?.saturating_mul(number("page_size")?).cast_unsigned())
}
