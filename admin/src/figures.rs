//! The server's figures: what it counts, kept over time and shown as it happens. A user is in none of
//! them.
//!
//! ```text
//! counter!, gauge!, histogram! ── tally (beside Prometheus) ── sampler ── feed
//!                                                                 └── directory: buckets ── asked ── series
//! ```

mod asked;
mod feed;
mod happened;
mod live;
mod sampler;
mod series;
mod spread;
mod tally;

pub use live::{Devices, Live};
pub use sampler::Figures;
pub use tally::{Tally, Tallying};

use crate::Admin;
use utoipa_axum::router::OpenApiRouter;

pub(crate) fn router() -> OpenApiRouter<Admin> {
    feed::router().merge(series::router())
}
