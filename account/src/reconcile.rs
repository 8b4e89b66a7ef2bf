//! What a crash left half done between directory and mailbox, settled at the start.

use belfry_store::directory::{Directory, DirectoryError, PermissionState};
use belfry_store::mailbox::{Command, Mailbox, Refusal};

/// Permissions asked about at a time.
const PAGE: u32 = 512;

/// Tells the mailbox of every permission in the directory, and the directory of every revocation that
/// only the mailbox has.
///
/// # Errors
/// The directory is unavailable. A mailbox that is unavailable leaves the rest for the next start.
pub async fn reconcile<M: Mailbox>(
    directory: &Directory,
    mailbox: &M,
) -> Result<(), DirectoryError> {
    let mut after = None;
    loop {
        let page = directory.all_permissions(after, PAGE).await?;
        let Some((user, last, _)) = page.last() else {
            return Ok(());
        };
        after = Some((*user, last.id));
        let commands = page
            .iter()
            .map(|(user, permission, endpoint)| Command::SetPermission {
                user: *user,
                permission: permission.id,
                site: permission.site.clone(),
                muted: permission.state == PermissionState::Muted,
                receipts: permission.receipts,
                endpoint: *endpoint,
            });
        let outcomes = mailbox.apply(commands.collect()).await;
        for ((user, permission, _), outcome) in page.iter().zip(outcomes) {
            if let Err(Refusal::Revoked) = outcome {
                let mut permission = permission.clone();
                permission.state = PermissionState::Revoked;
                directory.update_permission(*user, &permission).await?;
            }
        }
    }
}
