//! The promises of one node, each as one sentence that a user can hold us to.

mod acknowledged_means_on_disk;
mod an_answer_outlives_its_connection;
mod every_transport;
mod no_silent_hole;
mod one_log_behind_every_door;
mod power_loss;
mod who_comes_back_misses_nothing;
