//! A database as SQL.

use rusqlite::Connection;

/// What makes the tables and indices, in the order of their names.
pub(crate) fn tables(connection: &Connection) -> Vec<String> {
    texts(connection, "SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name")
}

/// Tables, rows, and the numbers by which the database is known.
pub(crate) fn whole(connection: &Connection) -> String {
    let mut lines = tables(connection);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    for table in texts(connection, names) {
        let columns = texts(connection, &format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        let values = columns.join(" || ',' || ");
        let rows = format!("SELECT 'INSERT INTO {table} VALUES(' || {values} || ');' FROM {table}");
        lines.extend(texts(connection, &rows));
    }
    for pragma in ["application_id", "user_version"] {
        lines
            .extend(texts(connection, &format!("SELECT 'PRAGMA {pragma} = ' || {pragma} || ';' FROM pragma_{pragma}")));
    }
    lines.join("\n") + "\n"
}

fn texts(connection: &Connection, query: &str) -> Vec<String> {
    connection.prepare(query).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
