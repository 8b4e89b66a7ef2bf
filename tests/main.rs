//! The promises of the program, each kept by a room of its own and checked from outside.

mod arrows;
mod harness;
mod mqtt;

mod a_notification_arrives;
mod behind_nginx;
mod created_means_synced;
mod data_is_private;
mod encryption_as_documented;
mod every_error_is_a_problem;
mod foreign_devices;
mod foreign_senders;
mod kill_nine_loses_nothing;
mod measurements_run;
mod mqtt_conformance;
mod revoked_site_is_refused;
mod strangers_are_refused;
mod the_certificate_is_renewed;
mod the_end_is_orderly;
mod walkthrough;
mod wills_outlive_the_server;
