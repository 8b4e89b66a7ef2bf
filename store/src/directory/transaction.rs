//! Several statements that hold together or not at all.

use super::{Directory, DirectoryError, Pool};
use sqlx::{Postgres, Sqlite};

/// A transaction under way. It is undone unless it is committed.
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Runs one statement in a transaction.
macro_rules! execute_in {
    ($transaction:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        match $transaction {
            $crate::directory::transaction::Transaction::Sqlite(transaction) => {
                let query = sqlx::query($sql)$(.bind($value))*;
                query.execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
            $crate::directory::transaction::Transaction::Postgres(transaction) => {
                let query = sqlx::query($sql)$(.bind($value))*;
                query.execute(&mut **transaction).await.map(|done| done.rows_affected())
            }
        }
    };
}

/// Fetches rows as tuples in a transaction.
macro_rules! fetch_in {
    ($transaction:expr, $fetch:ident, $row:ty, $sql:expr $(, $value:expr)* $(,)?) => {
        match $transaction {
            $crate::directory::transaction::Transaction::Sqlite(transaction) => {
                let query = sqlx::query_as::<_, $row>($sql)$(.bind($value))*;
                query.$fetch(&mut **transaction).await
            }
            $crate::directory::transaction::Transaction::Postgres(transaction) => {
                let query = sqlx::query_as::<_, $row>($sql)$(.bind($value))*;
                query.$fetch(&mut **transaction).await
            }
        }
    };
}

pub(super) use {execute_in, fetch_in};

impl Directory {
    /// Begins one, as a writer from the start: SQLite refuses a reader that would write after somebody
    /// else has.
    pub(super) async fn begin(&self) -> Result<Transaction, DirectoryError> {
        Ok(match &self.pool {
            Pool::Sqlite(pool) => Transaction::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Pool::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        })
    }
}

impl Transaction {
    /// Makes it hold.
    pub(super) async fn commit(self) -> Result<(), DirectoryError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await?,
            Self::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}
