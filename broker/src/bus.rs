//! The way of a notice to the process where its user is connected.

use crate::hub::Registry;
use crate::notice::Notice;
use std::sync::Arc;

/// Hands notices over within this process.
pub(crate) struct Bus {
    registry: Arc<Registry>,
}

impl Bus {
    pub(crate) fn start(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    pub(crate) fn publish(&self, notice: Notice) {
        self.registry.dispatch(notice);
    }

    pub(crate) async fn jumped(&self) -> u16 {
        std::future::pending().await
    }
}
