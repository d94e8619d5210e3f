//! Prompt to features, and offline token counts.
