//! What the lists here have in common beside their pages: a search, and an order.

use belfry_edge::ApiError;
use belfry_edge::paging::{Page, bad_cursor};
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

/// A page of a list in whatever order, after the item of the cursor. Where that one is gone meanwhile,
/// the page begins where it was.
///
/// # Errors
/// 400: no page gave this cursor.
pub(crate) fn cut<T>(
    items: Vec<T>,
    cursor: Option<&str>,
    limit: usize,
    id: impl Fn(&T) -> String,
) -> Result<Page<T>, ApiError> {
    let mut first = 0;
    if let Some(cursor) = cursor {
        let (at, after) = cursor.split_once('.').ok_or_else(bad_cursor)?;
        let at: usize = at.parse().map_err(|_| bad_cursor())?;
        let found = items.iter().position(|item| id(item) == after);
        first = found.map_or(at, |found| found + 1);
    }
    let rest = items.into_iter().enumerate().skip(first);
    let rest: Vec<(usize, T)> = rest.take(limit + 1).collect();
    let page = Page::of(rest, limit, |(at, item)| format!("{at}.{}", id(item)));
    Ok(page.map(|(_, item)| item))
}
