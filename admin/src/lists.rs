//! What the lists here have in common beside their pages: a search, and an order.

use belfry_edge::ApiError;
use belfry_store::directory::{SEARCH_WORDS_MAX, Words};

/// Items of a page at most.
pub(crate) const PAGE_MAX: usize = 200;

/// What is searched for.
///
/// # Errors
/// 422: too many words.
pub(crate) fn words(search: Option<&str>) -> Result<Words, ApiError> {
    Words::of(search.unwrap_or_default()).ok_or_else(|| {
        let detail = format!("search for at most {SEARCH_WORDS_MAX} words at a time");
        ApiError::invalid("search", detail)
    })
}

/// The column to sort by, and whether from its end.
///
/// # Errors
/// 422: there is no such column to sort by.
pub(crate) fn sort<'a>(
    sort: Option<&'a str>,
    default: &'a str,
    columns: &[&str],
) -> Result<(&'a str, bool), ApiError> {
    let sort = sort.unwrap_or(default);
    let (column, descending) = match sort.strip_prefix('-') {
        Some(column) => (column, true),
        None => (sort, false),
    };
    if columns.contains(&column) {
        return Ok((column, descending));
    }
    let detail = format!("this list is sorted by {}", columns.join(", "));
    Err(ApiError::invalid("sort", detail))
}
