//! Layers, honest and hostile, unpacked.
