//! The checks of the models that a body names.

use super::refuse;
use crate::proxy_keys::gate::path::PathStep;
use crate::proxy_keys::gate::quote::{quote, shorten};
use crate::proxy_keys::gate::value_kind::ValueKind;
use crate::proxy_keys::gate::{Refusal, RefusalKind};
use crate::proxy_keys::keys::ProxyKey;
use crate::proxy_keys::wire::usage::MAX_MODEL;

/// Refuses a model that is not on the list of the key, and a longer name than any model has: the ledger keeps the name of each
/// call for ever. The message for an unknown model is the same. `nested_path` is the
/// path of a model below the root object.
pub(super) fn check_model(
    key: &ProxyKey,
    model: Option<&str>,
    nested_path: Option<&str>,
) -> Result<(), Refusal> {
    if let Some(name) = model
        && name.len() <= MAX_MODEL
        && key.models.contains_model(name)
    {
        return Ok(());
    }
    let shown = quote(model.unwrap_or("…"));
    let place = match nested_path {
        Some(path) => format!(" in {path:?}"),
        None => String::new(),
    };
    let message = format!("The model {shown}{place} does not exist, or this key may not use it.");
    Err(Refusal::new(RefusalKind::ModelNotPermitted, message).about(nested_path.unwrap_or("model")))
}

/// Checks the kind of a member `model` of the object at `steps`. Returns its path if it is a text, which must be checked.
pub(super) fn start_nested_model(steps: &[PathStep], kind: ValueKind) -> Result<Option<String>, Refusal> {
    match kind {
        ValueKind::String => Ok(Some(path_text(steps, "model"))),
        ValueKind::Null => Ok(None),
        _ => {
            let path = path_text(steps, "model");
            Err(refuse(format!("The member {path:?} must be a string.")).about(path))
        }
    }
}

/// Returns the path of a member for messages, such as `messages[].model`.
fn path_text(steps: &[PathStep], name: &str) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            PathStep::Member(parent) => path += &format!("{}.", shorten(parent)),
            PathStep::Element => {
                let array_len = path.trim_end_matches('.').len();
                path.truncate(array_len);
                path += "[].";
            }
        }
    }
    shorten(&(path + name))
}
