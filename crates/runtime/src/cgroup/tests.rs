//! These run as root on whatever hierarchies the host has; the names in brackets of `requires` say what is needed.
