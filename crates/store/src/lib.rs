//! Durable decisions, outcomes, feedback and snapshots.
