//! Acts: the resolver that containers ask: names of their networks, and the host's upstream servers for the rest.
