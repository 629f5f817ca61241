//! Pure: what `--help` prints.

use super::{Flag, Support, Takes};
use crate::commands::Command;
use std::fmt::Write;

/// The `Usage:` line of a command.
pub fn usage_line(path: &str, command: &Command) -> String {
    let tail = command.usage;
    if tail.is_empty() {
        return format!("Usage:  {path}");
    }
    // A command that is used in two ways has a line for each.
    format!("Usage:  {path} {}", tail.replace('\n', &format!("\n\t{path} ")))
}

/// The help of a command that does something.
pub fn command_help(path: &str, command: &Command, aliases: &[String]) -> String {
    let mut text = format!("{}\n\n{}\n", usage_line(path, command), command.about);
    if aliases.len() > 1 {
        push(&mut text, &format!("\nAliases:\n  {}\n", aliases.join(", ")));
    }
    let mut flags: Vec<&Flag> = command.flags.iter().flat_map(|part| part.iter()).collect();
    flags.sort_by_key(|flag| flag.long);
    if !flags.is_empty() {
        text.push_str("\nOptions:\n");
        text.push_str(&options(&flags));
    }
    text
}

/// What the same binary is beside a client.
const ROLES: &str = "
Roles:
  daemon      Serve the Engine API on this host (see 'naru daemon --help')
  client      Run a command against a chosen daemon: client -H unix:///path COMMAND
  oci         An OCI runtime command line, for other engines
";

/// The help of a command that only holds others.
pub fn group_help(path: &str, command: &Command, members: &[&Command], extra: &[Flag]) -> String {
    let mut text = format!("{}\n\n{}\n", usage_line(path, command), command.about);
    let width = members.iter().map(|member| member.name.len()).max().unwrap_or(0) + 2;
    let list = |text: &mut String, title: &str, groups: bool| {
        let chosen: Vec<_> = members
            .iter()
            .filter(|member| member.is_group() == groups && !member.is_absent())
            .collect();
        if chosen.is_empty() {
            return;
        }
        push(text, &format!("\n{title}:\n"));
        for member in chosen {
            push(text, &format!("  {:width$}{}\n", member.name, first_line(member.about)));
        }
    };
    if !extra.is_empty() {
        text.push_str(ROLES);
    }
    list(&mut text, "Management Commands", true);
    list(&mut text, "Commands", false);
    if !extra.is_empty() {
        text.push_str("\nGlobal Options:\n");
        text.push_str(&options(&extra.iter().collect::<Vec<_>>()));
    }
    push(&mut text, &format!("\nRun '{path} COMMAND --help' for more information on a command.\n"));
    text
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

fn options(flags: &[&Flag]) -> String {
    let left = |flag: &Flag| {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        match flag.takes {
            Takes::Switch | Takes::SwitchOn => format!("  {short}--{}", flag.long),
            Takes::Value(kind) | Takes::List(kind) => format!("  {short}--{} {kind}", flag.long),
        }
    };
    let width = flags.iter().map(|flag| left(flag).len()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for flag in flags {
        let mut lines = flag.help.lines();
        let mut first = lines.next().unwrap_or("").to_owned();
        match flag.support {
            Support::Refused(_) => first.push_str(" (not supported)"),
            Support::NoEffect => first.push_str(" (no effect)"),
            Support::Yes => {}
        }
        push(&mut text, &format!("{:width$}{first}\n", left(flag)));
        for line in lines {
            push(&mut text, &format!("{:width$}{line}\n", ""));
        }
    }
    text
}

fn push(text: &mut String, more: &str) {
    // Writing to a string does not fail.
    text.write_str(more).ok();
}
