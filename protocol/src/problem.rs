//! Problem details (RFC 9457): the one shape of every HTTP error.

use serde::{Deserialize, Serialize};

/// Media type of a problem.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Prefix of every `type`: a page of the documentation, by its last segment.
pub const PROBLEM_TYPE_PREFIX: &str = "https://belfry.dev/problems/";

/// An error as a caller sees it: what was wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// URI that names the kind of problem; its last segment is stable.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short summary of the kind, the same for each occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time, and what would be right.
    pub detail: String,
    /// The field, header or parameter at fault, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
}

impl Problem {
    /// A problem of the kind with this last segment, such as `rate-limited`.
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{PROBLEM_TYPE_PREFIX}{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            field: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}
