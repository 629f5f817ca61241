//! Acts: commits of git repositories as trees of contexts.

use super::{blocking, trees};
use crate::agent::AgentSocket;
use crate::build::Inner;
use crate::context::{BuildContext, Content, Files, Node, Tree};
use crate::mounts::Scratch;
use crate::options::BuildOptions;
use crate::ports::{GitAuth, GitRequest, KnownHosts};
use naru_errdefs::{Fault, ResultExt};
use naru_git::{Address, Checkout, Kept, Limits, Oid, Pack, PackWriter, Tip, Transport, check_out};
use naru_kernel::times::FileTime;
use naru_oci::Digest;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The agent that repositories by ssh are fetched with, as in BuildKit.
const DEFAULT_AGENT: &str = "default";
/// Repositories one in the other.
const DEEPEST: usize = 8;
/// Repositories in all.
const MOST_MODULES: usize = 500;
/// The longest list of submodules.
const LONGEST_LIST: usize = 1 << 20;

/// The commit that an address means. Whoever names one by its hash is not asked about.
pub(crate) async fn commit(
    inner: &Arc<Inner>,
    options: &BuildOptions,
    address: &Address,
) -> Result<Tip, Fault> {
    let tip = match address.reference.as_deref().and_then(Oid::parse) {
        Some(oid) => Tip { commit: oid, object: oid, name: String::new() },
        None => {
            let agent = Agent::open(inner, options, address)?;
            let request = request(options, address, (address, &agent));
            inner.sources.commit(request).await.map_err(|fault| about(address, fault))?
        }
    };
    if let Some(wanted) = &address.commit {
        matches(wanted, tip.commit).map_err(|fault| about(address, fault))?;
    }
    Ok(tip)
}

/// Pure: whether a commit is the one whose hash begins like this.
pub(crate) fn matches(wanted: &str, commit: Oid) -> Result<(), Fault> {
    if commit.to_string().starts_with(&wanted.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Fault::invalid(format!("expected checksum to match {wanted}, got {commit}")))
}

/// What is wanted of a repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) address: &'a Address,
    pub(crate) tip: &'a Tip,
    /// Whether with its `.git`, where all of it is wanted.
    pub(crate) keeps: bool,
}

impl Wanted<'_> {
    /// Pure: what decides the result, besides where it comes from.
    pub(crate) fn key(&self) -> String {
        let Tip { commit, object, name } = self.tip;
        let directory = &self.address.directory;
        match self.keeps {
            true => {
                format!("git {commit} {directory} keep {object} {name} {}", plain(self.address))
            }
            false => format!("git {commit} {directory}"),
        }
    }
}

/// The files of a commit, with those of its submodules. What was fetched before is not fetched again.
pub(crate) async fn context(
    inner: &Arc<Inner>,
    options: &BuildOptions,
    wanted: &Wanted<'_>,
    cancelled: &Arc<AtomicBool>,
) -> Result<BuildContext, Fault> {
    let address = wanted.address;
    // Of one address, and of who asks: nobody gets files by naming the commit of a repository that he cannot read.
    let key = format!("{} {} {}", address.transport.url(), who(options, address), wanted.key());
    let turn = inner.fetching.of(&key);
    let _turn = turn.lock().await;
    let hold = inner.files.hold();
    let (files, noted) = (inner.files.clone(), key.clone());
    if let Some(context) = blocking(move || Ok(trees::read(&files, &noted))).await? {
        return Ok(context);
    }
    let mut tree = Tree::default();
    let git_at = (wanted.keeps && address.directory.is_empty()).then(|| b".git".to_vec());
    let (tip, at) = (wanted.tip.clone(), Vec::new());
    let mut waiting = vec![Module { address: address.clone(), tip, at, depth: 0, git_at }];
    let mut count = 0;
    while let Some(module) = waiting.pop() {
        count += 1;
        if module.depth > DEEPEST || count > MOST_MODULES {
            return Err(Fault::invalid("the git repository has too many submodules"));
        }
        let here = module.address.clone();
        let (done, more) = one(inner, options, (address, module, tree), cancelled)
            .await
            .map_err(|fault| about(&here, fault))?;
        tree = done;
        waiting.extend(more);
    }
    let files = inner.files.clone();
    let context = blocking(move || {
        trees::write(&files, &key, &tree);
        files.assemble(tree)
    })
    .await;
    drop(hold);
    context
}

/// A repository and where its files go.
struct Module {
    address: Address,
    tip: Tip,
    at: Vec<u8>,
    depth: usize,
    /// Where its own directory of git's goes.
    git_at: Option<Vec<u8>>,
}

/// Pure: a path from one directory to another, both below the same one.
fn way(from: &[u8], to: &[u8]) -> String {
    let up = from.split(|byte| *byte == b'/').count();
    format!("{}{}", "../".repeat(up), String::from_utf8_lossy(to))
}

fn about(address: &Address, fault: Fault) -> Fault {
    fault.context(format!("cannot fetch the git repository `{}`", shown(address)))
}

/// Pure: an address without a password, for messages.
pub(crate) fn shown(address: &Address) -> String {
    let url = address.transport.url();
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?))) {
        Some((scheme, (user, rest))) if user.contains(':') && !user.contains('/') => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:xxxxx@{rest}")
        }
        _ => url,
    }
}

/// Pure: an address without credentials, as it may stay with the files.
fn plain(address: &Address) -> String {
    let url = address.transport.url();
    match (&address.transport, url.split_once("://")) {
        (Transport::Http(_), Some((scheme, rest))) => {
            let (_, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("{scheme}://{}/{path}", naru_git::host_of(&url))
        }
        _ => url,
    }
}

/// What a repository by ssh is reached with, as long as it is needed.
struct Agent {
    socket: Option<AgentSocket>,
    theirs: Option<PathBuf>,
    /// The hosts that were met before.
    ours: PathBuf,
    _scratch: Option<Scratch>,
}

impl Agent {
    fn open(inner: &Inner, options: &BuildOptions, address: &Address) -> Result<Agent, Fault> {
        let ours = inner.place.join("known_hosts");
        let Transport::Ssh { .. } = address.transport else {
            return Ok(Agent { socket: None, theirs: None, ours, _scratch: None });
        };
        let scratch = Scratch::new(&inner.place)?;
        let lent = options.ssh.as_ref().filter(|lent| lent.has(DEFAULT_AGENT));
        let open = |lent| AgentSocket::open(scratch.path(), lent, DEFAULT_AGENT, (0o600, 0, 0));
        let socket = lent.map(open).transpose()?;
        let mut theirs = None;
        if let Some(text) = &options.known_hosts {
            let path = scratch.path().join("known_hosts");
            let failed = || "cannot keep the known hosts of a build".to_owned();
            let mut file = naru_kernel::fs::create_new(&path, 0o600).during(failed)?;
            file.write_all(text).during(failed)?;
            theirs = Some(path);
        }
        Ok(Agent { socket, theirs, ours, _scratch: Some(scratch) })
    }
}

/// Pure: tells apart who asks, without the secret itself.
fn who(options: &BuildOptions, root: &Address) -> String {
    let mut text = String::new();
    for (name, secret) in options.secrets.iter().filter(|(name, _)| name.starts_with("GIT_AUTH_")) {
        text.push_str(&format!("{name} {}\n", Digest::of(&secret.0)));
    }
    if matches!(root.transport, Transport::Ssh { .. }) {
        let lent = options.ssh.as_ref().is_some_and(|lent| lent.has(DEFAULT_AGENT));
        text.push_str(if lent { "agent" } else { "" });
    }
    match text.is_empty() {
        true => "anybody".to_owned(),
        false => Digest::of(text.as_bytes()).to_string(),
    }
}

/// Pure: who we are to a repository. What is said of no host counts for that of the address which the build names. Nothing is said
/// where others can read it, unless the build itself names such an address.
fn request<'a>(
    options: &'a BuildOptions,
    root: &Address,
    (address, agent): (&'a Address, &'a Agent),
) -> GitRequest<'a> {
    let host = address.transport.host();
    let is_exposed = address.transport.is_plain() && !root.transport.is_plain();
    let secret = |name: &str| {
        if is_exposed {
            return None;
        }
        let of_host = options.secrets.get(&format!("{name}.{host}"));
        let secret = of_host
            .or_else(|| options.secrets.get(name).filter(|_| root.transport.host() == host))?;
        secret.text()
    };
    let auth = match secret("GIT_AUTH_HEADER") {
        Some(header) => Some(GitAuth::Header(header)),
        None => secret("GIT_AUTH_TOKEN").map(GitAuth::Token),
    };
    let hosts = KnownHosts { theirs: agent.theirs.as_deref(), ours: &agent.ours };
    GitRequest { address, auth, agent: agent.socket.as_ref().map(AgentSocket::short), hosts }
}

/// A file that goes with whoever has it open.
fn room(files: &Files) -> Result<std::fs::File, Fault> {
    let path = files.staging();
    let failed = || "cannot make room for a git repository".to_owned();
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.during(failed)?;
    std::fs::remove_file(&path).during(failed)?;
    Ok(file)
}

async fn one(
    inner: &Arc<Inner>,
    options: &BuildOptions,
    (root, module, tree): (&Address, Module, Tree),
    cancelled: &Arc<AtomicBool>,
) -> Result<(Tree, Vec<Module>), Fault> {
    let files = inner.files.clone();
    let file = blocking(move || room(&files)).await?;
    let writer = PackWriter::new(file, Limits::standard());
    let agent = Agent::open(inner, options, &module.address)?;
    let request = request(options, root, (&module.address, &agent));
    let writer = inner.sources.pack(request, module.tip.commit, writer).await?;
    let (files, cancelled) = (inner.files.clone(), Arc::clone(cancelled));
    blocking(move || {
        let mut pack = writer.finish(&cancelled)?;
        let seconds = naru_git::commit_time(&mut pack, module.tip.commit)?;
        let modified = FileTime { seconds, nanoseconds: 0 };
        let (at, commit) = (module.at.clone(), module.tip.commit);
        let mut sink =
            Sink { files: &files, tree, at, modified, modules: Vec::new(), elsewhere: None };
        let directory = module.address.directory.clone();
        check_out(&mut pack, commit, &directory, &mut sink, &cancelled)?;
        let Sink { tree, modules, elsewhere, .. } = sink;
        if let Some((path, commit, rest)) = elsewhere {
            return Ok((tree, vec![lies_in(&mut pack, module, (path, commit), rest)?]));
        }
        let (more, list) = if modules.is_empty() {
            Default::default()
        } else {
            named(&mut pack, &module, modules)?
        };
        let Some(at) = module.git_at.clone() else { return Ok((tree, more)) };
        let kept = Kept {
            tip: &module.tip,
            url: plain(&module.address),
            modules: list,
            worktree: (!module.at.is_empty()).then(|| way(&at, &module.at)),
        };
        let link = format!("gitdir: {}\n", way(&module.at, &at));
        let mut sink =
            Sink { files: &files, tree, at, modified, modules: Vec::new(), elsewhere: None };
        let room = room(&files)?;
        naru_git::git_directory(&mut pack, &kept, room, &mut sink, &cancelled)?;
        if kept.worktree.is_some() {
            sink.at.clone_from(&module.at);
            let kept = sink.keep(&mut link.as_bytes(), false)?;
            sink.file(b".git", &kept, false)?;
        }
        Ok((sink.tree, more))
    })
    .await
}

/// Names and addresses of submodules.
type Names = Vec<(String, String)>;

/// Where the submodules come from that were met.
fn named(
    pack: &mut Pack,
    module: &Module,
    met: Vec<(Vec<u8>, Oid)>,
) -> Result<(Vec<Module>, Names), Fault> {
    let list = naru_git::root_file(pack, module.tip.commit, ".gitmodules", LONGEST_LIST)?;
    let known = naru_git::modules(&list.unwrap_or_default());
    let parent = module.address.transport.url();
    let mut found = Vec::with_capacity(met.len());
    let mut names = Names::new();
    for (path, commit) in met {
        let whole = match module.address.directory.as_str() {
            "" => path.clone(),
            directory => [directory.as_bytes(), b"/", &path].concat(),
        };
        let shown = String::from_utf8_lossy(&whole).into_owned();
        let Some(entry) = known.iter().find(|entry| entry.path.as_bytes() == whole) else {
            return Err(Fault::invalid(format!(
                "no url found for submodule path `{shown}` in .gitmodules"
            )));
        };
        let url = naru_git::resolve_url(&parent, &entry.url);
        let address = Address::at(&url).map_err(|error| {
            Fault::from(error).context(format!("cannot fetch the submodule `{shown}`"))
        })?;
        names.push((entry.name.clone(), plain(&address)));
        let at = if module.at.is_empty() { path } else { [&module.at[..], b"/", &path].concat() };
        let below = |git: &Vec<u8>| [git, &b"/modules/"[..], entry.name.as_bytes()].concat();
        let git_at = module.git_at.as_ref().map(below);
        let tip = Tip { commit, object: commit, name: String::new() };
        found.push(Module { address, tip, at, depth: module.depth + 1, git_at });
    }
    Ok((found, names))
}

/// The directory that is meant, as that of the submodule in which it lies: it goes where the repository's would.
fn lies_in(
    pack: &mut Pack,
    module: Module,
    (path, commit): (String, Oid),
    rest: String,
) -> Result<Module, Fault> {
    let at = module.at.clone();
    let mut whole = module;
    whole.address.directory.clear();
    let (mut found, _) = named(pack, &whole, vec![(path.into_bytes(), commit)])?;
    let mut inner = found.pop().ok_or_else(|| Fault::internal("a submodule was lost"))?;
    inner.at = at;
    inner.address.directory = rest;
    Ok(inner)
}

/// Puts what a commit has into a tree, and contents where those of contexts are.
struct Sink<'a> {
    files: &'a Files,
    tree: Tree,
    /// Where the repository is in the tree.
    at: Vec<u8>,
    modified: FileTime,
    /// Submodules, by their paths in this repository.
    modules: Vec<(Vec<u8>, Oid)>,
    /// The submodule in which the directory lies that is meant, and what is meant of it.
    elsewhere: Option<(String, Oid, String)>,
}

const fn mode(is_executable: bool) -> u32 {
    if is_executable { 0o755 } else { 0o644 }
}

impl Sink<'_> {
    fn put(&mut self, path: &[u8], content: Content, mode: u32) {
        let path = match self.at.as_slice() {
            [] => path.to_vec(),
            at => [at, b"/", path].concat(),
        };
        let node = Node { content, mode, modified: self.modified, attributes: Vec::new() };
        self.tree.insert(path, node);
    }
}

impl Checkout for Sink<'_> {
    type Kept = (Digest, u64);

    fn keep(
        &mut self,
        content: &mut dyn Read,
        is_executable: bool,
    ) -> Result<(Digest, u64), Fault> {
        self.files.keep(content, (mode(is_executable), self.modified))
    }

    fn file(
        &mut self,
        path: &[u8],
        kept: &(Digest, u64),
        is_executable: bool,
    ) -> Result<(), Fault> {
        let (digest, size) = *kept;
        self.put(path, Content::File { digest, size }, mode(is_executable));
        Ok(())
    }

    fn directory(&mut self, path: &[u8]) -> Result<(), Fault> {
        self.put(path, Content::Directory, 0o755);
        Ok(())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault> {
        self.put(path, Content::Link(target.to_vec()), 0o777);
        Ok(())
    }

    fn submodule(&mut self, path: &[u8], commit: Oid) -> Result<(), Fault> {
        self.directory(path)?;
        self.modules.push((path.to_vec(), commit));
        Ok(())
    }

    fn elsewhere(&mut self, path: &str, commit: Oid, rest: &str) -> Result<(), Fault> {
        self.elsewhere = Some((path.to_owned(), commit, rest.to_owned()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Secret;

    fn options(secrets: &[(&str, &'static str)]) -> BuildOptions {
        let secrets =
            secrets.iter().map(|(name, text)| ((*name).to_owned(), Secret((*text).into())));
        BuildOptions { secrets: secrets.collect(), ..BuildOptions::default() }
    }

    fn at(url: &str) -> Address {
        Address::at(url).unwrap()
    }

    #[test]
    fn a_secret_goes_to_the_server_it_is_for_and_not_in_the_clear() {
        let agent = Agent { socket: None, theirs: None, ours: PathBuf::new(), _scratch: None };
        let told = |options: &BuildOptions, root: &str, address: &str| {
            let (root, address) = (at(root), at(address));
            let request = request(options, &root, (&address, &agent));
            match request.auth {
                Some(GitAuth::Token(text) | GitAuth::Header(text)) => text.to_owned(),
                None => String::new(),
            }
        };
        let token = options(&[("GIT_AUTH_TOKEN", "t"), ("GIT_AUTH_TOKEN.other", "o")]);
        for (root, address, want) in [
            ("https://h/r.git", "https://h/r.git", "t"),
            ("https://h/r.git", "https://h/module", "t"),
            ("https://h/r.git", "https://h:8443/module", ""),
            ("https://h/r.git", "https://evil/module", ""),
            ("https://h/r.git", "https://other/module", "o"),
            ("https://h/r.git", "http://h/module", ""),
            ("https://h/r.git", "http://other/module", ""),
            ("http://h/r.git", "http://h/module", "t"),
            ("http://h/r.git", "http://other/module", "o"),
        ] {
            assert_eq!(told(&token, root, address), want, "{address} of {root}");
        }
    }

    #[test]
    fn who_asks_is_told_apart_by_what_is_known_of_him() {
        let root = at("https://h/r.git");
        let anybody = who(&options(&[]), &root);
        let one = who(&options(&[("GIT_AUTH_TOKEN", "1")]), &root);
        let other = who(&options(&[("GIT_AUTH_TOKEN", "2")]), &root);
        assert!(anybody != one && one != other && other != anybody);
        assert_eq!(anybody, who(&options(&[("npm", "1")]), &root));
        assert!(!one.contains("GIT_AUTH"));
    }
}
