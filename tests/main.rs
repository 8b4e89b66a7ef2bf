//! The promises of the program, each kept by a room of its own and checked from outside.

mod arrows;
mod harness;
mod hostile;
mod mqtt;
mod relay;
mod websocket;

mod a_crowd_keeps_nobody_out;
mod a_notification_arrives;
mod away;
mod behind_nginx;
mod created_means_synced;
mod data_is_private;
mod devices_share_keys;
mod encryption_as_documented;
mod every_error_is_a_problem;
mod floods_leave_room_for_others;
mod foreign_devices;
mod foreign_senders;
mod kill_nine_loses_nothing;
mod measurements_run;
mod mqtt_conformance;
mod odd_packets_have_one_answer;
mod odd_requests_have_one_answer;
mod revoked_site_is_refused;
mod slow_clients_are_let_go;
mod slow_networks_lose_nothing;
mod strangers_are_refused;
mod the_certificate_is_renewed;
mod the_console_comes_with_the_program;
mod the_description_is_true;
mod the_end_is_orderly;
mod the_senders_pages_run;
mod unifiedpush;
mod walkthrough;
mod wills_outlive_the_server;
