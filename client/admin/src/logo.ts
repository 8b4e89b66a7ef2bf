//! The dashboard may stand on an address of its own, so that its logo lies beside it.

export const LOGO = "/admin/logo.svg";
