//! A simulated zoo over real HTTP, simulated users and a live terminal view.
