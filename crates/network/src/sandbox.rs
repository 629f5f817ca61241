//! Acts: network namespaces made ready for containers.
