//! Finds the kernel and its modules. Acts: reads `/boot` and `/lib/modules`.

use std::path::{Path, PathBuf};

/// A kernel to boot.
pub struct Kernel {
    /// Its file.
    pub image: PathBuf,
    /// What `uname -r` says in it.
    pub release: String,
    /// Modules by file name, each after those that it needs.
    pub loading_order: Vec<(String, PathBuf)>,
}

/// The newest of Debian's cloud kernels.
pub fn newest_cloud_kernel(modules: &[&str]) -> Result<Kernel, String> {
    let mut releases: Vec<String> = std::fs::read_dir("/boot")
        .map_err(|error| format!("cannot read `/boot`: {error}"))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned))
        .filter(|release| release.contains("cloud"))
        .collect();
    releases.sort_by_key(|release| numbers(release));
    let release = releases.pop().ok_or(
        "there is no cloud kernel in `/boot`; install Debian's package linux-image-cloud-amd64",
    )?;
    let tree = PathBuf::from("/lib/modules").join(&release);
    let table = tree.join("modules.dep");
    let text = std::fs::read_to_string(&table)
        .map_err(|error| format!("cannot read `{}`: {error}", table.display()))?;
    let loading_order = modules
        .iter()
        .try_fold(Vec::new(), |order, module| with_module(order, &text, &tree, module))?;
    Ok(Kernel {
        image: Path::new("/boot").join(format!("vmlinuz-{release}")),
        release,
        loading_order,
    })
}

/// The numbers of a release, so that 6.10 comes after 6.9.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// Adds a module after everything that it needs. `modules.dep` lists those from the nearest to the farthest.
fn with_module(
    mut order: Vec<(String, PathBuf)>,
    table: &str,
    tree: &Path,
    module: &str,
) -> Result<Vec<(String, PathBuf)>, String> {
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let wanted = format!("{module}.ko");
    let (path, needs) = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(path, _)| file(path) == wanted)
        .ok_or_else(|| format!("`{}` has no module `{module}`", tree.display()))?;
    for path in needs.split_whitespace().rev().chain([path]) {
        let name = file(path);
        if !order.iter().any(|(known, _)| *known == name) {
            order.push((name, tree.join(path)));
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::{numbers, with_module};
    use std::path::Path;

    #[test]
    fn what_a_module_needs_comes_first() {
        let table = "a/x.ko: b/y.ko c/z.ko\nb/y.ko: c/z.ko\nc/z.ko:\n";
        let order = with_module(Vec::new(), table, Path::new("/m"), "x").unwrap();
        let order = with_module(order, table, Path::new("/m"), "y").unwrap();
        let names: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z.ko", "y.ko", "x.ko"]);
        assert!(with_module(Vec::new(), table, Path::new("/m"), "w").is_err());
    }

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert!(numbers("6.10.2-1-cloud") > numbers("6.9.11-2-cloud"));
    }
}
