//! The help of commands as files. `UPDATE_GOLDEN=1` writes them anew. Acts, in tests only.

use super::{ROOT, builder, container, find, flags, image, network, volume};
use std::io::Write;
use std::path::Path;

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "`{}` differs (UPDATE_GOLDEN=1 writes it anew); now it is:\n{text}",
        path.display()
    );
}

#[test]
fn help_of_the_whole() {
    let super::Action::Group(members) = ROOT.action else { panic!("the root is a group") };
    check("help/naru.txt", &flags::group_help("naru", &ROOT, members, super::GLOBAL));
}

#[test]
fn help_of_groups() {
    for (name, command) in [
        ("builder", &builder::BUILDER),
        ("container", &container::CONTAINER),
        ("image", &image::IMAGE),
        ("network", &network::NETWORK),
        ("volume", &volume::VOLUME),
    ] {
        let super::Action::Group(members) = command.action else { panic!("{name} is a group") };
        let text = flags::group_help(&format!("naru {name}"), command, members, &[]);
        check(&format!("help/{name}.txt"), &text);
    }
}

#[test]
fn help_of_commands() {
    for line in [
        "run",
        "create",
        "start",
        "attach",
        "cp",
        "diff",
        "exec",
        "ps",
        "logs",
        "rm",
        "stats",
        "update",
        "images",
        "load",
        "save",
        "import",
        "login",
        "logout",
        "pull",
        "push",
        "inspect",
        "port",
        "network connect",
        "network create",
        "network inspect",
        "network ls",
        "network prune",
        "network rm",
        "build",
        "builder du",
        "builder prune",
        "system prune",
        "system verify",
        "volume create",
        "volume restore",
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let Ok((path, command, _)) = find("naru", &ROOT, &words) else { panic!("{line}") };
        let aliases: Vec<String> =
            command.spellings.iter().map(|spelling| format!("naru {spelling}")).collect();
        let text = flags::command_help(&path, command, &aliases);
        check(&format!("help/{}.txt", line.replace(' ', "-")), &text);
    }
}
