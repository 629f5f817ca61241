//! The release binary is linked without symbols: the profile's `strip` does not reach a package whose `opt-level` is overridden. Acts.

fn main() {
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--strip-all");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
