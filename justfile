# `just` shows this menu; every recipe is one line.
_default:
    @just --list

# the static release binary
build:
    cargo build --release

# everything that CI checks
test:
    cargo xtask test

# the tests of one crate
test-crate crate:
    cargo nextest run -p naru-{{crate}}

# the house rules
tidy:
    cargo xtask tidy

lint:
    cargo clippy --workspace --all-targets -- -D warnings

fmt:
    cargo fmt --all

# limits under cgroup v2, in a small virtual machine
vm-test:
    cargo xtask vm-test

# side by side with docker, podman and runc
bench what="run":
    cargo xtask bench {{what}}
