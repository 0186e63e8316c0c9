//! The schema of a ledger file: its versions, and the check of a file that is opened.

use rusqlite::{Connection, TransactionBehavior};

use super::sums::add_all_rows;
use crate::proxy_keys::ledger::store::StoreError;

/// The `application_id` of a ledger file: `pxlg` in ASCII.
pub(in crate::proxy_keys::ledger) const APPLICATION_ID: i32 = 0x7078_6c67;

/// The migrations, in order. The version of a schema is the number of its migrations.
pub(super) const MIGRATIONS: [&str; 3] =
    [include_str!("version_1.sql"), include_str!("version_2.sql"), include_str!("version_3.sql")];

/// The version whose table `hours` contains all settled calls.
const VERSION_WITH_ALL_SUMS: usize = 3;

/// Creates the tables of a new file, or applies the missing changes of the schema. Refuses a file of another program or of
/// a later version. It begins a write transaction in each case, which a read-only file does not permit.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = check_version(&transaction)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    if version < VERSION_WITH_ALL_SUMS {
        add_all_rows(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    Ok(())
}

/// Returns the version of the schema, which is 0 for an empty file and never exceeds the number of migrations. Refuses a
/// file of another program or of a later version.
pub(crate) fn check_version(connection: &Connection) -> Result<usize, StoreError> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let table_count: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && table_count > 0 {
        return Err(StoreError::new(&"it is a database of another program: choose another path"));
    }
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let supported = MIGRATIONS.len();
    if version > supported {
        return Err(StoreError::new(&format_args!(
            "it has version {version}, and this program supports up to {supported}: use a newer program"
        )));
    }
    Ok(version)
}

/// Refuses a file of an earlier version, which only a writer migrates.
pub(crate) fn check_current_version(connection: &Connection) -> Result<(), StoreError> {
    let version = check_version(connection)?;
    let current = MIGRATIONS.len();
    if version < current {
        return Err(StoreError::new(&format_args!(
            "it has version {version}, but queries of usage need version {current}: start its writer once to migrate it"
        )));
    }
    Ok(())
}
