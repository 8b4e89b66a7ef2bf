//! Durable truth: the directory (who exists and who allowed what) and the mailbox (what is owed to
//! whom). SQL and the key-value engine are named here and nowhere else.

pub mod directory;
pub mod mailbox;
