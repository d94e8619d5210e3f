//! Dev-only: scripted upstream that speaks HTTP and SSE, fault injection, child processes.
