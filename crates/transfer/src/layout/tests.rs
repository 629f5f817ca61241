//! Archives as documents, and what is found in them.
