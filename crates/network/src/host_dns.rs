//! Whom the host asks for names, followed as its files change.
//!
//! Acts: looks at the files' times whenever somebody wants to know, and reads them when they have changed. There is no
//! timer and no watch: files that are replaced, links that are turned, and directories that come later are all seen.

use crate::dns::{Options, Upstreams};
use crate::resolv_conf::{BEHIND_STUB, HOST, HostDns, Nameserver, ResolvConf, Wishes};
use rustix::net::{AddressFamily, SocketType};
use std::fs::{File, Metadata};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Nobody writes more into a `resolv.conf`.
const LONGEST: u64 = 64 * 1024;
/// Where servers listen.
const PORT: u16 = 53;

/// What the host's files say at a time.
#[derive(Debug, Default)]
pub struct View {
    /// The host's file itself.
    pub own: ResolvConf,
    /// What it means to containers.
    pub dns: HostDns,
    /// Whom our resolver asks for containers that have no wishes.
    pub upstreams: Arc<Upstreams>,
}

impl View {
    /// Whom our resolver asks for a container with these wishes. Servers on a loopback are the host's, from where all are
    /// asked.
    pub fn upstreams_for(&self, wishes: &Wishes) -> Arc<Upstreams> {
        if wishes.servers.is_empty() && wishes.options.is_empty() {
            return Arc::clone(&self.upstreams);
        }
        let servers = match wishes.servers.as_slice() {
            [] => self.upstreams.servers.clone(),
            wished => socket_addresses(wished),
        };
        let options = match wishes.options.as_slice() {
            [] => self.upstreams.options.clone(),
            wished => Options::parse(wished.iter().map(String::as_str)),
        };
        Arc::new(Upstreams { servers, options })
    }
}

/// By what a file that has changed is known.
type Mark = Option<(u64, u64, i64, i64, u64)>;

#[derive(Debug)]
struct Seen {
    marks: [Mark; 2],
    view: Arc<View>,
}

/// The host's files.
#[derive(Debug)]
pub struct HostFiles {
    paths: [PathBuf; 2],
    seen: Mutex<Option<Seen>>,
}

impl Default for HostFiles {
    fn default() -> HostFiles {
        HostFiles::at(HOST, BEHIND_STUB)
    }
}

impl HostFiles {
    /// Files at other places: the host's, and the one of what is behind its stub.
    pub fn at(host: impl AsRef<Path>, behind: impl AsRef<Path>) -> HostFiles {
        let paths = [host.as_ref().to_owned(), behind.as_ref().to_owned()];
        HostFiles { paths, seen: Mutex::default() }
    }

    /// What they say now. Cheap while they do not change.
    pub fn view(&self) -> Arc<View> {
        let marks = self.paths.each_ref().map(|path| mark(path));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.as_ref().filter(|seen| seen.marks == marks) {
            return Arc::clone(&seen.view);
        }
        let [host, behind] = self.paths.each_ref().map(|path| read(path));
        let own = host.unwrap_or_default();
        let dns = HostDns::new(&own, behind.as_ref());
        let servers = socket_addresses(&dns.servers);
        if servers.is_empty() {
            let path = self.paths.first().map(PathBuf::as_path).unwrap_or(Path::new(HOST));
            tracing::warn!(
                path = %path.display(),
                "the host names no DNS servers: containers resolve each other's names only"
            );
        }
        let options = Options::parse(dns.options.iter().map(String::as_str));
        let view = Arc::new(View { own, dns, upstreams: Arc::new(Upstreams { servers, options }) });
        *seen = Some(Seen { marks, view: Arc::clone(&view) });
        view
    }
}

fn mark(path: &Path) -> Mark {
    let stat: Metadata = std::fs::metadata(path).ok()?;
    Some((stat.dev(), stat.ino(), stat.ctime(), stat.ctime_nsec(), stat.size()))
}

fn read(path: &Path) -> Option<ResolvConf> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(ResolvConf::parse(&String::from_utf8_lossy(&bytes)))
}

/// Where these servers listen. One behind an interface that does not exist is left out.
pub fn socket_addresses(servers: &[Nameserver]) -> Vec<SocketAddr> {
    servers
        .iter()
        .filter_map(|server| match (server.address, &server.zone) {
            (IpAddr::V6(address), Some(zone)) => {
                let index = zone.parse().ok().or_else(|| interface(zone))?;
                Some(SocketAddrV6::new(address, PORT, 0, index).into())
            }
            (address, _) => Some(SocketAddr::new(address, PORT)),
        })
        .collect()
}

fn interface(name: &str) -> Option<u32> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::name_to_index(&socket, name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        naru_kernel::fs::write_replace(path, text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn changes_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (host, behind) = (dir.path().join("host"), dir.path().join("run/behind"));
        let files = HostFiles::at(&host, &behind);
        assert_eq!(files.view().upstreams.servers, []);
        put(&host, "nameserver 127.0.0.53\noptions timeout:1 rotate\n");
        let view = files.view();
        assert_eq!(view.upstreams.servers, ["127.0.0.53:53".parse().unwrap()]);
        assert!(view.upstreams.options.rotate);
        assert!(Arc::ptr_eq(&view, &files.view()), "an unchanged file is not read again");
        std::fs::create_dir(dir.path().join("run")).unwrap();
        put(&behind, "nameserver 10.0.0.1\n");
        assert_eq!(files.view().upstreams.servers, ["10.0.0.1:53".parse().unwrap()]);
        put(&behind, "nameserver 10.0.0.2\n");
        assert_eq!(files.view().upstreams.servers, ["10.0.0.2:53".parse().unwrap()]);
        std::fs::remove_file(&host).unwrap();
        assert_eq!(files.view().upstreams.servers, []);
        assert_eq!(files.view().own, ResolvConf::default());
    }

    #[test]
    fn wishes_come_before_the_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        put(&host, "nameserver 10.0.0.1\noptions rotate\n");
        let view = HostFiles::at(&host, dir.path().join("none")).view();
        let mut wishes = Wishes::default();
        assert!(Arc::ptr_eq(&view.upstreams_for(&wishes), &view.upstreams));
        wishes.servers = vec!["1.1.1.1".parse().unwrap()];
        let upstreams = view.upstreams_for(&wishes);
        assert_eq!(upstreams.servers, ["1.1.1.1:53".parse().unwrap()]);
        assert!(upstreams.options.rotate);
        wishes = Wishes { options: vec!["use-vc".into()], ..Wishes::default() };
        let upstreams = view.upstreams_for(&wishes);
        assert_eq!(upstreams.servers, ["10.0.0.1:53".parse().unwrap()]);
        assert!(upstreams.options.tcp && !upstreams.options.rotate);
    }

    #[test]
    fn a_zone_is_an_interface() {
        let servers = ["fe80::1%lo", "fe80::1%7", "fe80::1%nosuch0", "fd00::1"];
        let servers: Vec<Nameserver> = servers.iter().map(|text| text.parse().unwrap()).collect();
        let expected: [SocketAddr; 3] = [
            SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 1).into(),
            SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, 7).into(),
            "[fd00::1]:53".parse().unwrap(),
        ];
        assert_eq!(socket_addresses(&servers), expected);
    }
}
