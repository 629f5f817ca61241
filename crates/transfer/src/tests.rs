//! Archives through a whole store.
