//! The subcommand `keys`: mints, lists and revokes the keys of a keys file, and reads their ledger.
//!
//! ```text
//! keys new:    open standard output ─▶ lock ─▶ read and check ─▶ mint ─▶ edit ─▶ check ─▶ draft on the disk
//!              ─▶ print the key ─▶ rename
//! keys revoke: lock ─▶ read and check ─▶ edit ─▶ check ─▶ draft on the disk ─▶ rename
//! keys usage:  read the keys file ─▶ read the ledger ─▶ print
//! keys backup: copy the ledger to a draft on the disk ─▶ rename
//! ```
//!
//! A minted key is printed after everything that commonly fails, and before the rename. If it cannot be printed, the file
//! is unchanged.
mod backup;
mod columns;
mod edit;
mod entry;
pub mod expiry;
pub mod flags;
mod key_id;
mod keys_file;
pub mod limits;
mod listing;
mod secret_output;
mod usage;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use http::HeaderMap;
use jiff::Timestamp;
use tower_api_key_name::proxy_keys::{LedgerReader, MintedKey, mint};

use super::atomic_file::FileDraft;
use super::output::print_error_line;
use super::spend::fetch_error::hide_secrets;
use super::spend::output::ignore_broken_pipe;
use super::start_error::StartError;
use edit::{Revocation, append_entry, revoke_entry};
use entry::{KeysFileView, NewEntry};
use flags::{KeysAction, KeysFlags, ListFlags, NewFlags, RevokeFlags, UsageFlags};
use keys_file::{LockedKeysFile, read_valid};
use secret_output::SecretOutput;
use usage::UsageReport;

/// Runs the subcommand.
pub fn run(flags: KeysFlags) -> ExitCode {
    let result = match &flags.action {
        KeysAction::New(new) => add_key(new),
        KeysAction::List(list) => list_keys(list),
        KeysAction::Revoke(revoke) => revoke_key(revoke),
        KeysAction::Usage(usage) => print_usage(usage),
        KeysAction::Backup(backup) => backup::copy_ledger(backup),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error_line(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Mints a key, prints it on standard output, and adds its digest to the file.
fn add_key(flags: &NewFlags) -> Result<(), StartError> {
    let limits = flags.limits().map_err(StartError::BadUse)?;
    let now = Timestamp::now();
    let expires_at = flags.expires_at(now).map_err(StartError::BadUse)?;
    let output = SecretOutput::open().map_err(unprinted)?;

    let file = LockedKeysFile::open(&flags.file)?;
    let view = KeysFileView::parse(file.text()).map_err(|e| file.error(e))?;
    let id = choose_id(flags, &view).map_err(|e| file.error(e))?;
    check_group(flags, &view).map_err(|e| file.error(e))?;
    let minted = mint().map_err(StartError::cannot_start)?;
    let entry = NewEntry {
        id: id.clone(),
        name: flags.name.clone(),
        group: flags.group.clone(),
        hashes: [minted.digest()],
        models: non_empty(&flags.model),
        tools: non_empty(&flags.tool),
        limits,
        created_at: now.as_second(),
        expires_at: expires_at.map(|instant| instant.to_string()),
    };
    let edit = append_entry(file.text(), &entry).map_err(|e| file.error(e))?;
    let draft = file.prepare(&edit.apply(file.text()))?;

    print_and_commit(&minted, &id, output, draft, &file)?;
    let path = flags.file.display();
    if file.is_new() {
        print_error_line(&format!("{path} did not exist: it was created"));
    }
    print_error_line(&format!("{id} was added to {path}; its key was printed once, and is not stored"));
    Ok(())
}

/// Prints the key, and then moves the draft to the path of the file. A key that cannot be printed is not stored.
fn print_and_commit(
    minted: &MintedKey,
    id: &str,
    output: SecretOutput,
    draft: FileDraft,
    file: &LockedKeysFile,
) -> Result<(), StartError> {
    output.print(minted.key()).map_err(unprinted)?;
    draft.commit().map_err(|e| {
        let doubt = format!(
            "the file may or may not contain the printed key; run `keys list`: if it prints {id}, the key is valid"
        );
        file.error(format!("cannot be replaced: {e}; {doubt}"))
    })
}

/// Returns the id of --id, or an id that is derived from the name. Fails if the file contains the id of --id.
fn choose_id(flags: &NewFlags, view: &KeysFileView) -> Result<String, String> {
    let Some(id) = &flags.id else { return Ok(key_id::derive(&flags.name, |id| view.contains(id))) };
    if view.contains(id) {
        return Err(format!("--id {}: the file has a key with this id already", without_secret(id)));
    }
    Ok(id.clone())
}

/// Fails if the file lacks the group of --group. The error lists the groups of the file.
fn check_group(flags: &NewFlags, view: &KeysFileView) -> Result<(), String> {
    let Some(group) = &flags.group else { return Ok(()) };
    if view.groups.contains_key(group) {
        return Ok(());
    }
    let names: Vec<&str> = view.groups.keys().map(String::as_str).collect();
    let known_groups = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(format!(
        "--group {}: the file has no such group; add it to the section \"groups\" first (groups: {known_groups})",
        without_secret(group)
    ))
}

/// Returns a text of the command line for a message, or a replacement if it looks like a key in the wrong place.
fn without_secret(text: &str) -> String {
    hide_secrets(text, &HeaderMap::new())
}

/// Returns the values of a flag that may be repeated, or `None` without the flag.
fn non_empty(values: &[String]) -> Option<Vec<String>> {
    if values.is_empty() { None } else { Some(values.to_vec()) }
}

/// The error of a key that cannot be printed.
fn unprinted(error: io::Error) -> StartError {
    StartError::CannotStart(format!("the key cannot be printed, and no key was added: {error}"))
}

/// Prints the keys of the file.
fn list_keys(flags: &ListFlags) -> Result<(), StartError> {
    let view = read_view(&flags.file)?;
    let mut out = io::stdout().lock();
    let now = Timestamp::now();
    let result = if flags.json {
        listing::write_json(&view, now, &mut out)
    } else {
        listing::write_table(&view, now, &mut out)
    };
    check_printed(result)
}

/// Prints the use of the keys and groups of the file, and of those that only the ledger contains.
fn print_usage(flags: &UsageFlags) -> Result<(), StartError> {
    let view = read_view(&flags.file)?;
    let reader = LedgerReader::open(&flags.ledger).map_err(StartError::cannot_start)?;
    let ledger = reader.usage().map_err(StartError::cannot_start)?;
    let report = UsageReport::new(&view, &ledger, Timestamp::now());
    let mut out = io::stdout().lock();
    let result = if flags.json { report.write_json(&mut out) } else { report.write_tables(&mut out) };
    check_printed(result)
}

/// Reads the keys of a file that the library accepts.
fn read_view(path: &Path) -> Result<KeysFileView, StartError> {
    let text = read_valid(path)?;
    KeysFileView::parse(&text).map_err(|e| StartError::CannotStart(format!("{}: {e}", path.display())))
}

/// Converts the error of a result that cannot be printed. A reader that has closed its pipe is no error.
fn check_printed(result: io::Result<()>) -> Result<(), StartError> {
    ignore_broken_pipe(result)
        .map_err(|e| StartError::CannotStart(format!("the result cannot be written: {e}")))
}

/// Removes the digests of a key. A key without digests stays as it is.
fn revoke_key(flags: &RevokeFlags) -> Result<(), StartError> {
    let file = LockedKeysFile::open_existing(&flags.file)?;
    let path = flags.file.display();
    let id = &flags.id;
    let edit = match revoke_entry(file.text(), id).map_err(|e| file.error(e))? {
        Revocation::Edit(edit) => edit,
        Revocation::AlreadyRevoked => {
            print_error_line(&format!("{id} is revoked already; {path} is unchanged"));
            return Ok(());
        }
        // The id is not repeated: a user may have pasted the key in its place.
        Revocation::UnknownId => {
            return Err(file.error(format!("no key has this id; see `api-key-name-proxy keys list {path}`")));
        }
    };
    let draft = file.prepare(&edit.apply(file.text()))?;
    draft.commit().map_err(|e| file.error(format!("cannot be replaced: {e}")))?;
    print_error_line(&format!(
        "{id} was revoked in {path}; its entry stays, so that past usage has its name"
    ));
    Ok(())
}
