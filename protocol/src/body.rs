//! The two encrypted body formats, for sites and devices. The server never opens one.
