//! Permissions and the endpoints they are posted to.

use super::{Directory, DirectoryError, Pool, execute, fetch, hash, id, millis, time};
use belfry_protocol::id::{PermissionId, UserId};
use belfry_protocol::secret::SecretHash;
use belfry_protocol::site::Origin;
use belfry_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a permission is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionState {
    /// Shown.
    Allowed,
    /// Stored, not shown.
    Muted,
    /// Over.
    Revoked,
}

impl PermissionState {
    fn read(number: i64) -> Result<Self, DirectoryError> {
        match number {
            0 => Ok(Self::Allowed),
            1 => Ok(Self::Muted),
            2 => Ok(Self::Revoked),
            _ => Err(DirectoryError::Unreadable("a permission's state")),
        }
    }
}

/// A permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Its id.
    pub id: PermissionId,
    /// The site.
    pub site: Origin,
    /// The user's name for it.
    pub name: Option<String>,
    /// Whether it is in force.
    pub state: PermissionState,
    /// Whether the site may have receipts.
    pub receipts: bool,
    /// When it was given.
    pub created: Timestamp,
    /// Notifications accepted under it.
    pub accepted: u64,
    /// When the last one was.
    pub last_used: Option<Timestamp>,
}

/// A permission to make.
#[derive(Debug, Clone)]
pub struct NewPermission {
    /// What will be shown of it.
    pub permission: Permission,
    /// The VAPID key that alone may post, an uncompressed P-256 point.
    pub application_server_key: Option<Vec<u8>>,
    /// The hash of the endpoint's secret.
    pub endpoint: SecretHash,
}

/// What a post needs to know about the endpoint it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose mailbox.
    pub user: UserId,
    /// Which permission.
    pub permission: PermissionId,
    /// The site.
    pub site: Origin,
    /// Whether it is in force.
    pub state: PermissionState,
    /// The VAPID key that alone may post.
    pub application_server_key: Option<Vec<u8>>,
    /// Whether the site may have receipts.
    pub receipts: bool,
}

type PermissionRow = (
    Vec<u8>,
    String,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
);

fn permission(row: PermissionRow) -> Result<Permission, DirectoryError> {
    let (permission, site, name, state, receipts, created, accepted, last_used) = row;
    Ok(Permission {
        id: id(&permission)?,
        site: origin(&site)?,
        name,
        state: PermissionState::read(state)?,
        receipts: receipts != 0,
        created: time(created),
        accepted: u64::try_from(accepted).unwrap_or(0),
        last_used: last_used.map(time),
    })
}

/// Endpoints that are read with one statement.
const READ_TOGETHER: usize = 32;

const READ_ENDPOINTS: &str = "SELECT endpoint_hash, user_id, permission_id, site, state, \
     application_server_key, receipts FROM permissions WHERE endpoint_hash IN ($1, $2, $3, $4, $5, $6, $7, \
     $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, \
     $28, $29, $30, $31, $32)";

type EndpointRow = (Vec<u8>, Vec<u8>, String, i64, Option<Vec<u8>>, i64);
type HashedRow = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64, Option<Vec<u8>>, i64);

fn endpoint(row: EndpointRow) -> Result<Endpoint, DirectoryError> {
    let (user, permission, site, state, application_server_key, receipts) = row;
    Ok(Endpoint {
        user: id(&user)?,
        permission: id(&permission)?,
        site: origin(&site)?,
        state: PermissionState::read(state)?,
        application_server_key,
        receipts: receipts != 0,
    })
}

fn origin(text: &str) -> Result<Origin, DirectoryError> {
    text.parse()
        .map_err(|_| DirectoryError::Unreadable("a site"))
}

impl Directory {
    /// Makes a permission.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn create_permission(
        &self,
        user: UserId,
        new: &NewPermission,
    ) -> Result<(), DirectoryError> {
        let made = &new.permission;
        execute!(
            self,
            "INSERT INTO permissions (user_id, permission_id, site, name, application_server_key, receipts, state, \
             endpoint_hash, created, accepted) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, 0)",
            &user.as_bytes()[..],
            &made.id.as_bytes()[..],
            made.site.as_str(),
            made.name.as_deref(),
            new.application_server_key.as_deref(),
            i64::from(made.receipts),
            &new.endpoint.as_bytes()[..],
            millis(made.created)
        )?;
        Ok(())
    }

    /// What stands behind an endpoint; a revoked permission's is still found.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn endpoint(&self, secret: SecretHash) -> Result<Option<Endpoint>, DirectoryError> {
        if let Some(known) = self.endpoints.get(&secret).await {
            return Ok(Some(known));
        }
        let since = self.moment();
        let row = fetch!(
            self,
            fetch_optional,
            EndpointRow,
            "SELECT user_id, permission_id, site, state, application_server_key, receipts FROM permissions \
             WHERE endpoint_hash = $1",
            &secret.as_bytes()[..]
        )?;
        let Some(endpoint) = row.map(endpoint).transpose()? else {
            return Ok(None);
        };
        self.remember(&self.endpoints, secret, endpoint.clone(), since)
            .await;
        Ok(Some(endpoint))
    }

    /// Reads endpoints that will be asked for, many with a statement, so that [`Self::endpoint`] has
    /// them in memory.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn read_endpoints(&self, secrets: &[SecretHash]) -> Result<(), DirectoryError> {
        let unknown = secrets
            .iter()
            .filter(|secret| !self.endpoints.contains_key(*secret));
        let unknown: Vec<SecretHash> = unknown.copied().collect();
        for some in unknown.chunks(READ_TOGETHER) {
            let since = self.moment();
            for (secret, endpoint) in self.read_some_endpoints(some).await? {
                self.remember(&self.endpoints, secret, endpoint, since)
                    .await;
            }
        }
        Ok(())
    }

    async fn read_some_endpoints(
        &self,
        secrets: &[SecretHash],
    ) -> Result<Vec<(SecretHash, Endpoint)>, DirectoryError> {
        let Some(last) = secrets.last() else {
            return Ok(Vec::new());
        };
        // The statement has one length; what is left of it is filled with what is asked for anyway.
        let all = secrets.iter().chain(std::iter::repeat(last));
        let all = all.take(READ_TOGETHER);
        let rows = match &self.pool {
            Pool::Sqlite(pool) => {
                let query = sqlx::query_as::<_, HashedRow>(READ_ENDPOINTS);
                let query = all.fold(query, |query, hash| query.bind(&hash.as_bytes()[..]));
                query.fetch_all(pool).await?
            }
            Pool::Postgres(pool) => {
                let query = sqlx::query_as::<_, HashedRow>(READ_ENDPOINTS);
                let query = all.fold(query, |query, hash| query.bind(&hash.as_bytes()[..]));
                query.fetch_all(pool).await?
            }
        };
        let endpoints =
            rows.into_iter()
                .map(|(hashed, user, permission, site, state, key, receipts)| {
                    let row = (user, permission, site, state, key, receipts);
                    Ok((hash(hashed)?, endpoint(row)?))
                });
        endpoints.collect()
    }

    /// A page of a user's permissions that are not revoked, by id, after the cursor.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn permissions(
        &self,
        user: UserId,
        after: Option<PermissionId>,
        limit: u32,
    ) -> Result<Vec<Permission>, DirectoryError> {
        let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
        let _reading = self.notes.reading().await;
        let rows = fetch!(
            self,
            fetch_all,
            PermissionRow,
            "SELECT permission_id, site, name, state, receipts, created, accepted, last_used FROM permissions \
             WHERE user_id = $1 AND permission_id > $2 AND state < 2 ORDER BY permission_id LIMIT $3",
            &user.as_bytes()[..],
            after,
            i64::from(limit)
        )?;
        let mut permissions: Vec<Permission> =
            rows.into_iter().map(permission).collect::<Result<_, _>>()?;
        for permission in &mut permissions {
            self.notes.add_to_permission(user, permission);
        }
        Ok(permissions)
    }

    /// A page of everybody's permissions that are not revoked, each with the hash of its endpoint's
    /// secret, after the cursor.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn all_permissions(
        &self,
        after: Option<(UserId, PermissionId)>,
        limit: u32,
    ) -> Result<Vec<(UserId, Permission, SecretHash)>, DirectoryError> {
        type Row = (
            Vec<u8>,
            Vec<u8>,
            String,
            Option<String>,
            i64,
            i64,
            i64,
            i64,
            Option<i64>,
            Vec<u8>,
        );
        let (user, after) = after.map_or((Vec::new(), Vec::new()), |(user, after)| {
            (user.as_bytes().to_vec(), after.as_bytes().to_vec())
        });
        let rows = fetch!(
            self,
            fetch_all,
            Row,
            "SELECT user_id, permission_id, site, name, state, receipts, created, accepted, last_used, \
             endpoint_hash FROM permissions WHERE (user_id > $1 OR (user_id = $1 AND permission_id > $2)) AND state < 2 \
             ORDER BY user_id, permission_id LIMIT $3",
            user,
            after,
            i64::from(limit)
        )?;
        rows.into_iter()
            .map(
                |(
                    user,
                    id_,
                    site,
                    name,
                    state,
                    receipts,
                    created,
                    accepted,
                    last_used,
                    endpoint,
                )| {
                    let row = (
                        id_, site, name, state, receipts, created, accepted, last_used,
                    );
                    Ok((id(&user)?, permission(row)?, super::hash(endpoint)?))
                },
            )
            .collect()
    }

    /// One of a user's permissions, revoked or not.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn permission(
        &self,
        user: UserId,
        which: PermissionId,
    ) -> Result<Option<Permission>, DirectoryError> {
        let _reading = self.notes.reading().await;
        let row = fetch!(
            self,
            fetch_optional,
            PermissionRow,
            "SELECT permission_id, site, name, state, receipts, created, accepted, last_used FROM permissions \
             WHERE user_id = $1 AND permission_id = $2",
            &user.as_bytes()[..],
            &which.as_bytes()[..]
        )?;
        let mut found = row.map(permission).transpose()?;
        if let Some(permission) = &mut found {
            self.notes.add_to_permission(user, permission);
        }
        Ok(found)
    }

    /// How many permissions of a user are not revoked.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn count_permissions(&self, user: UserId) -> Result<u64, DirectoryError> {
        let (count,) = fetch!(
            self,
            fetch_one,
            (i64,),
            "SELECT count(*) FROM permissions WHERE user_id = $1 AND state < 2",
            &user.as_bytes()[..]
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Changes what a user may change of a permission; a revoked one stays as it is.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn update_permission(
        &self,
        user: UserId,
        changed: &Permission,
    ) -> Result<(), DirectoryError> {
        execute!(
            self,
            "UPDATE permissions SET name = $1, state = $2, receipts = $3 \
             WHERE user_id = $4 AND permission_id = $5 AND state < 2",
            changed.name.as_deref(),
            changed.state as i64,
            i64::from(changed.receipts),
            &user.as_bytes()[..],
            &changed.id.as_bytes()[..]
        )?;
        self.forget_endpoint(user, changed.id).await
    }

    async fn forget_endpoint(
        &self,
        user: UserId,
        permission: PermissionId,
    ) -> Result<(), DirectoryError> {
        if let Some(endpoint) = self.endpoint_of(user, permission).await? {
            self.changed();
            self.endpoints.invalidate(&endpoint).await;
        }
        Ok(())
    }

    /// The hash of the endpoint's secret of one of a user's permissions, revoked or not.
    ///
    /// # Errors
    /// The directory is unavailable.
    pub async fn endpoint_of(
        &self,
        user: UserId,
        permission: PermissionId,
    ) -> Result<Option<SecretHash>, DirectoryError> {
        let row = fetch!(
            self,
            fetch_optional,
            (Vec<u8>,),
            "SELECT endpoint_hash FROM permissions WHERE user_id = $1 AND permission_id = $2",
            &user.as_bytes()[..],
            &permission.as_bytes()[..]
        )?;
        row.map(|(endpoint,)| super::hash(endpoint)).transpose()
    }
}
