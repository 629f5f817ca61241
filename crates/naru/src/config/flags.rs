//! The daemon's flags: dockerd's names. Pure.

use std::path::PathBuf;

/// `naru daemon [options]`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "naru daemon",
    about = "Run the host daemon: Docker's Engine API, images and containers",
    disable_version_flag = true
)]
pub struct Flags {
    /// Where images and containers are kept (default /var/lib/naru).
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Where sockets and the state of running things are kept (default /run/naru).
    #[arg(long, value_name = "DIR")]
    pub exec_root: Option<PathBuf>,
    /// Address to listen on (unix:///path); may be given several times.
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub hosts: Vec<String>,
    /// File for the process id.
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Configuration file (default /etc/naru/daemon.json).
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// debug, info, warn, error or fatal.
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Log at level debug.
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Group that owns the sockets (default naru, where it exists).
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Internal: started by a client.
    #[arg(long, hide = true)]
    pub background: bool,
}
