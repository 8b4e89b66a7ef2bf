//! Accounts, devices, sessions, sites, permissions and keyrings, in SQLite or PostgreSQL.
