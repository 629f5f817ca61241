//! Acts: the image service over a real store.
