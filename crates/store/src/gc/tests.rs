//! Acts: collections among everything else, in every order that chance finds, and with threads.

mod crowd;
mod order;
