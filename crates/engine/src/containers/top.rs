//! Acts: the processes of a container, as `ps` would show them, read from `/proc`.

use super::Containers;
use crate::model::{Timestamp, Top};
use crate::supervisor::Supervisor;
use naru_errdefs::Fault;
use std::collections::HashMap;
use std::fs;
use std::time::Duration;

impl Containers {
    /// Its processes; `arguments` are those of `ps` as far as they are served (`-ef`, `aux`, `-o …`).
    pub async fn top(&self, name: &str, arguments: &str) -> Result<Top, Fault> {
        let columns = columns(arguments)?;
        let container = self.inner.find(name)?;
        let parent = {
            let seat = container.seat();
            Supervisor::require_running(&seat.record)?;
            seat.record.host.resources.cgroup_parent.clone()
        };
        let mut pids = self.inner.launcher.processes(&container.id, &parent)?;
        pids.sort_unstable();
        let users = users(&fs::read_to_string("/etc/passwd").unwrap_or_default());
        let uptime = fs::read_to_string("/proc/uptime")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
            .unwrap_or_default();
        let processes = pids
            .into_iter()
            .filter_map(|pid| Process::read(pid, &users, uptime))
            .map(|process| columns.iter().map(|column| process.show(*column)).collect())
            .collect();
        Ok(Top {
            titles: columns.iter().map(|column| column.title().to_owned()).collect(),
            processes,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    User,
    Uid,
    Pid,
    Parent,
    Cpu,
    Memory,
    Virtual,
    Resident,
    Terminal,
    State,
    Start,
    Time,
    Command,
    Name,
    StartAux,
    CommandAux,
    CpuAux,
}

const FULL: [Column; 8] = [
    Column::User,
    Column::Pid,
    Column::Parent,
    Column::Cpu,
    Column::Start,
    Column::Terminal,
    Column::Time,
    Column::Command,
];

const AUX: [Column; 11] = [
    Column::Uid,
    Column::Pid,
    Column::CpuAux,
    Column::Memory,
    Column::Virtual,
    Column::Resident,
    Column::Terminal,
    Column::State,
    Column::StartAux,
    Column::Time,
    Column::CommandAux,
];

/// Which columns the arguments of `ps` ask for.
fn columns(arguments: &str) -> Result<Vec<Column>, Fault> {
    let text = arguments.trim();
    match text {
        "" | "-ef" | "ef" | "-f" | "-fe" => return Ok(FULL.to_vec()),
        "aux" | "-aux" => return Ok(AUX.to_vec()),
        _ => {}
    }
    let refused = || {
        Fault::unsupported(format!("arguments of `ps` that are not served: `{text}`"))
            .with_hint("use `-ef`, `aux`, or `-o` with columns such as `pid,ppid,user,comm,args`")
    };
    let list = ["-eo", "-o", "-e -o", "-Ao", "-A -o"]
        .iter()
        .find_map(|flag| text.strip_prefix(flag))
        .ok_or_else(refused)?;
    list.split([',', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "pid" => Ok(Column::Pid),
            "ppid" => Ok(Column::Parent),
            "user" | "uid" | "euser" => Ok(Column::Uid),
            "c" => Ok(Column::Cpu),
            "pcpu" | "%cpu" => Ok(Column::CpuAux),
            "pmem" | "%mem" => Ok(Column::Memory),
            "vsz" => Ok(Column::Virtual),
            "rss" => Ok(Column::Resident),
            "tty" | "tt" => Ok(Column::Terminal),
            "stat" | "s" | "state" => Ok(Column::State),
            "stime" | "start" => Ok(Column::Start),
            "time" => Ok(Column::Time),
            "cmd" => Ok(Column::Command),
            "args" | "command" => Ok(Column::CommandAux),
            "comm" => Ok(Column::Name),
            _ => Err(refused()),
        })
        .collect()
}

impl Column {
    const fn title(self) -> &'static str {
        match self {
            Column::User => "UID",
            Column::Uid => "USER",
            Column::Pid => "PID",
            Column::Parent => "PPID",
            Column::Cpu => "C",
            Column::CpuAux => "%CPU",
            Column::Memory => "%MEM",
            Column::Virtual => "VSZ",
            Column::Resident => "RSS",
            Column::Terminal => "TTY",
            Column::State => "STAT",
            Column::Start => "STIME",
            Column::StartAux => "START",
            Column::Time => "TIME",
            Column::Command => "CMD",
            Column::CommandAux | Column::Name => "COMMAND",
        }
    }
}

/// Names of users by number.
fn users(passwd: &str) -> HashMap<u32, String> {
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        })
        .collect()
}

struct Process {
    user: String,
    pid: u32,
    parent: String,
    state: String,
    terminal: String,
    /// Hundredths of a second.
    ticks: u64,
    /// Seconds.
    age: f64,
    resident: u64,
    virtual_size: u64,
    name: String,
    command: String,
}

impl Process {
    /// `None` when it has ended meanwhile.
    fn read(pid: u32, users: &HashMap<u32, String>, uptime: f64) -> Option<Process> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let stat = read("stat")?;
        // The name is in brackets and may contain anything.
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let status = read("status")?;
        let uid = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok())?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
        #[expect(clippy::cast_precision_loss, reason = "seconds since boot fit")]
        let age = uptime - number(19)? as f64 / 100.0;
        Some(Process {
            user: users.get(&uid).cloned().unwrap_or_else(|| uid.to_string()),
            pid,
            parent: (*fields.get(1)?).to_owned(),
            state: (*fields.first()?).to_owned(),
            terminal: terminal(number(4)?),
            ticks: number(11)? + number(12)?,
            age: age.max(0.0),
            virtual_size: number(20)? / 1024,
            resident: number(21)? * 4,
            name: name.to_owned(),
            command: if command.is_empty() { format!("[{name}]") } else { command },
        })
    }

    fn show(&self, column: Column) -> String {
        match column {
            Column::User | Column::Uid => self.user.clone(),
            Column::Pid => self.pid.to_string(),
            Column::Parent => self.parent.clone(),
            Column::Cpu => format!("{:.0}", self.share()),
            Column::CpuAux => format!("{:.1}", self.share()),
            Column::Memory => {
                let total = crate::system::memory_total().max(1);
                let tenths = self.resident * 1024 * 1000 / total;
                format!("{}.{}", tenths / 10, tenths % 10)
            }
            Column::Virtual => self.virtual_size.to_string(),
            Column::Resident => self.resident.to_string(),
            Column::Terminal => self.terminal.clone(),
            Column::State => self.state.clone(),
            Column::Start | Column::StartAux => {
                let age = Duration::from_secs_f64(self.age);
                let nanoseconds = i64::try_from(age.as_nanos()).unwrap_or_default();
                let text = Timestamp(Timestamp::now().0.saturating_sub(nanoseconds)).to_string();
                text.get(11..16).unwrap_or_default().to_owned()
            }
            Column::Time => {
                let seconds = self.ticks / 100;
                format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
            }
            Column::Command | Column::CommandAux => self.command.clone(),
            Column::Name => self.name.clone(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    fn share(&self) -> f64 {
        if self.age > 0.0 { self.ticks as f64 / self.age } else { 0.0 }
    }
}

fn terminal(number: u64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        4 => format!("tty{minor}"),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_arguments_are_served_and_others_refused() {
        assert_eq!(columns("").unwrap(), FULL);
        assert_eq!(columns("aux").unwrap(), AUX);
        let titles: Vec<&str> =
            columns("-eo pid,comm").unwrap().into_iter().map(Column::title).collect();
        assert_eq!(titles, ["PID", "COMMAND"]);
        assert!(columns("-Z").is_err());
        assert!(columns("-o pid,foo").is_err());
    }

    #[test]
    fn this_very_process_is_shown() {
        let users = users("root:x:0:0::/:/bin/sh\n");
        let process = Process::read(std::process::id(), &users, 1e9).unwrap();
        assert_eq!(process.show(Column::Pid), std::process::id().to_string());
        assert!(!process.show(Column::Command).is_empty());
        assert_eq!(terminal(0x8803), "pts/3");
        assert_eq!(terminal(0), "?");
    }
}
