//! Pure: pools of addresses and who has which.
