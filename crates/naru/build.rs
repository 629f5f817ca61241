//! How the release binary is linked: its relocations packed, and functions that are the same to the last bit there once; each saves about half a
//! megabyte. Acts.

fn main() {
    let is = |name: &str, wanted: &str| std::env::var(name).is_ok_and(|value| value == wanted);
    // Only where Rust brings its own linker, which knows the options. Nothing here compares addresses of functions, as Rust says nobody may.
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_ARCH", "x86_64") {
        println!("cargo:rustc-link-arg-bins=-Wl,--pack-dyn-relocs=relr");
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
