//! Pages: `?limit=&cursor=` in, `{"items","next"}` out.

use crate::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Items of a page unless asked for fewer.
const PAGE_DEFAULT: usize = 50;
/// Items of a page of users' and sites' routes at most: a hundred notifications are some 600 KB.
pub const PAGE_MAX: usize = 100;

/// A page as every list answers it.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    items: Vec<T>,
    /// The cursor of the next page; null at the end.
    next: Option<String>,
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// From 1; 50 if not given. More than a page holds counts as a full one: 100, of `/admin/v1` 200.
    #[param(value_type = Option<u32>, format = "uint32", minimum = 1)]
    limit: Option<String>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    /// Items wanted, of a page that holds 100.
    ///
    /// # Errors
    /// 400 for what is no number, 422 for none at all.
    pub fn limit(&self) -> Result<usize, ApiError> {
        self.limit_of(PAGE_MAX)
    }

    /// Items wanted, of a page that holds so many.
    ///
    /// # Errors
    /// 400 for what is no number, 422 for none at all.
    pub fn limit_of(&self, page_max: usize) -> Result<usize, ApiError> {
        let Some(limit) = &self.limit else {
            return Ok(PAGE_DEFAULT);
        };
        match limit.parse::<u32>() {
            Ok(0) => Err(ApiError::invalid("limit", "a page has at least 1 item")),
            Ok(limit) => Ok(page_max.min(limit as usize)),
            Err(_) => Err(ApiError::malformed(
                "limit",
                "limit is a whole number from 1",
            )),
        }
    }
}

/// 400 for a cursor that no page gave.
pub fn bad_cursor() -> ApiError {
    ApiError::malformed("cursor", "a cursor is the `next` of a page before")
}

impl<T> Page<T> {
    /// One that is all there is.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// Of one item more than the limit, where there are so many.
    pub fn of(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }

    /// Of a whole list, which comes in the order of its keys.
    ///
    /// # Errors
    /// A cursor or limit that cannot be.
    pub fn cut(
        items: impl IntoIterator<Item = T>,
        paging: &Paging,
        page_max: usize,
        key: impl Fn(&T) -> Key,
    ) -> Result<Self, ApiError> {
        let limit = paging.limit_of(page_max)?;
        let after = paging.cursor.as_deref().map(Key::read).transpose()?;
        let rest = items
            .into_iter()
            .filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        Ok(Self::of(rest.take(limit + 1).collect(), limit, |item| {
            let Key(number, id) = key(item);
            format!("{number:x}.{id}")
        }))
    }

    /// The same page of something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

/// The place of an item in a whole list: it stays when others come and go.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(
    /// What is compared first.
    pub u64,
    /// What tells equal ones apart.
    pub String,
);

impl Key {
    fn read(text: &str) -> Result<Self, ApiError> {
        let (number, id) = text.split_once('.').ok_or_else(bad_cursor)?;
        let number = u64::from_str_radix(number, 16).map_err(|_| bad_cursor())?;
        Ok(Self(number, id.to_owned()))
    }
}
