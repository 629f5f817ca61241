//! Pure: tables of mount entries and what becomes of them.

use super::*;
use naru_oci::runtime::MountBuilder;

fn host() -> Host {
    Host {
        cgroup_mounts: vec!["/sys/fs/cgroup/memory".into(), "/sys/fs/cgroup/cpu,cpuacct".into()],
        cgroup_links: vec![("cpu".to_owned(), "cpu,cpuacct".to_owned())],
        ..Host::plain()
    }
}

fn entry(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        .build()
        .unwrap()
}

fn planned(mount: Mount) -> Result<MountPlan, PlanError> {
    let host = host();
    let join = ["/sys/fs/cgroup/memory/naru/x/cgroup.procs".into()];
    let around = Surroundings { host: &host, cgroup_join: &join, own_cgroup_namespace: true };
    resolve(&[mount], &around).map(|mut plans| plans.remove(0))
}

#[test]
fn paths_are_cleaned_by_their_letters() {
    for (given, clean_path) in
        [("/a/../b", "/b"), ("a//b/./c", "/a/b/c"), ("/../..", "/"), ("", "/"), ("/x/", "/x")]
    {
        assert_eq!(clean(Path::new(given)), Path::new(clean_path), "{given}");
    }
}

#[test]
fn flags_go_to_the_mount_point_and_the_rest_to_the_file_system() {
    let plan =
        planned(entry("/t", "tmpfs", "tmpfs", &["nosuid", "ro", "size=1m", "huge=never"])).unwrap();
    assert_eq!(plan.attributes.set, attribute::NO_SUID | attribute::READ_ONLY);
    let MountWhat::FileSystem { options, .. } = plan.what else { panic!("{:?}", plan.what) };
    assert_eq!(
        options,
        [("size".to_owned(), Some("1m".to_owned())), ("huge".to_owned(), Some("never".to_owned()))]
    );
}

#[test]
fn the_last_word_wins() {
    let plan = planned(entry("/t", "bind", "/src", &["rbind", "ro", "rw", "rro"])).unwrap();
    assert_eq!(plan.attributes.set, 0);
    assert_eq!(plan.attributes.clear, attribute::READ_ONLY);
    assert_eq!(plan.attributes.set_recursive, attribute::READ_ONLY);
    assert!(matches!(plan.what, MountWhat::Bind { recursive: true, .. }));
}

#[test]
fn propagation_words_are_known() {
    for (word, expected) in
        [("rslave", Propagation::RecursiveSlave), ("shared", Propagation::Shared)]
    {
        let plan = planned(entry("/t", "none", "/src", &["bind", word])).unwrap();
        assert_eq!(plan.propagation, Some(expected), "{word}");
    }
}

#[test]
fn old_cgroups_appear_as_one_directory_a_hierarchy() {
    let plan = planned(entry("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"])).unwrap();
    let MountWhat::Cgroup(CgroupMount::Hierarchies { hierarchies, links }) = plan.what else {
        panic!("{:?}", plan.what)
    };
    assert_eq!(hierarchies, [("memory".to_owned(), PathBuf::from("/sys/fs/cgroup/memory/naru/x"))]);
    assert_eq!(links.len(), 1);
}

#[test]
fn what_cannot_be_is_refused() {
    for (destination, kind, source, options) in [
        ("/", "tmpfs", "tmpfs", &[][..]),
        ("/a/..", "tmpfs", "tmpfs", &[]),
        ("/t", "bind", "relative", &["bind"]),
        ("/t", "", "x", &[]),
        ("/t", "bind", "/src", &["bind", "size=3"]),
        ("/t", "tmpfs", "x", &["remount"]),
        ("/proc", "tmpfs", "x", &[]),
        ("/proc/self/attr", "bind", "/src", &["bind"]),
        ("/x/../proc/sys", "bind", "/src", &["bind"]),
        ("/t", "bind", "/src", &["bind", "idmap"]),
    ] {
        let result = planned(entry(destination, kind, source, options));
        assert!(result.is_err(), "{destination} {kind} {source} {options:?}");
    }
    assert!(planned(entry("/proc/uptime", "bind", "/src", &["bind"])).is_ok());
}
