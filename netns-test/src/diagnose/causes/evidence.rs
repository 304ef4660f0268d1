//! Additions of facts to a diagnosis, as its evidence. Pure.

use crate::error::Diagnosis;

/// Adds the profile or context that a process has, if it has one.
pub(crate) fn with_label(diagnosis: Diagnosis, label: Option<&(String, String)>) -> Diagnosis {
    match label {
        Some((file, label)) => diagnosis.shown_by(file, label),
        None => diagnosis,
    }
}

/// Adds a file's value.
pub(crate) fn with(diagnosis: Diagnosis, file: &str, value: Option<&String>) -> Diagnosis {
    diagnosis.shown_by(file, value.map_or("(none)", String::as_str))
}
