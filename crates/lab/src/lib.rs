//! Replay of recorded outcomes, baselines, simulated models and users.
