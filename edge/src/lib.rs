//! What every HTTP room shares: errors as problem details, extractors that refuse with them, who the
//! caller is, and the layers around a route.

pub mod address;
pub mod auth;
pub mod body;
pub mod error;
pub mod extract;
pub mod layers;
pub mod number;

pub use address::{AddressKey, ClientAddress, TrustedProxies};
pub use body::{media_type, not_json, read_body};
pub use error::{ApiError, Exceeded, RateProblem, Scope};
pub use extract::{Path, Query};
pub use number::Whole;
