//! Acts: commits of git repositories as trees of contexts.

use super::blocking;
use crate::agent::AgentSocket;
use crate::build::Inner;
use crate::context::{BuildContext, Content, Files, Node, Tree};
use crate::mounts::Scratch;
use crate::options::BuildOptions;
use crate::ports::{GitAuth, GitRequest};
use naru_errdefs::{Fault, ResultExt};
use naru_git::{Address, Checkout, Limits, Oid, Pack, PackWriter, Transport, check_out};
use naru_kernel::times::FileTime;
use naru_oci::Digest;
use std::io::Read;
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
) -> Result<Oid, Fault> {
    if let Some(oid) = address.reference.as_deref().and_then(Oid::parse) {
        return Ok(oid);
    }
    let agent = Agent::open(inner, options, address)?;
    let request = request(options, address, (address, &agent));
    inner.sources.commit(request).await.map_err(|fault| about(address, fault))
}

/// The files of a commit, with those of its submodules.
pub(crate) async fn context(
    inner: &Arc<Inner>,
    options: &BuildOptions,
    (address, commit): (&Address, Oid),
    cancelled: &Arc<AtomicBool>,
) -> Result<BuildContext, Fault> {
    let hold = inner.files.hold();
    let mut tree = Tree::default();
    let mut waiting = vec![Module { address: address.clone(), commit, at: Vec::new(), depth: 0 }];
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
    let context = blocking(move || files.assemble(tree)).await;
    drop(hold);
    context
}

/// A repository and where its files go.
struct Module {
    address: Address,
    commit: Oid,
    at: Vec<u8>,
    depth: usize,
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

/// The agent for a repository by ssh, as long as it is needed.
struct Agent(Option<(AgentSocket, Scratch)>);

impl Agent {
    fn open(inner: &Inner, options: &BuildOptions, address: &Address) -> Result<Agent, Fault> {
        let Transport::Ssh { .. } = address.transport else { return Ok(Agent(None)) };
        let Some(lent) = options.ssh.as_ref().filter(|lent| lent.has(DEFAULT_AGENT)) else {
            return Ok(Agent(None));
        };
        let scratch = Scratch::new(&inner.place)?;
        let socket = AgentSocket::open(scratch.path(), lent, DEFAULT_AGENT, (0o600, 0, 0))?;
        Ok(Agent(Some((socket, scratch))))
    }
}

/// Pure: who we are to a repository. What is said of no host counts for that of the address which the build names.
fn request<'a>(
    options: &'a BuildOptions,
    root: &Address,
    (address, agent): (&'a Address, &'a Agent),
) -> GitRequest<'a> {
    let host = address.transport.host();
    let secret = |name: &str| {
        let of_host = options.secrets.get(&format!("{name}.{host}"));
        let secret = of_host
            .or_else(|| options.secrets.get(name).filter(|_| root.transport.host() == host))?;
        std::str::from_utf8(&secret.0).ok().map(str::trim).filter(|text| !text.is_empty())
    };
    let auth = match secret("GIT_AUTH_HEADER") {
        Some(header) => Some(GitAuth::Header(header)),
        None => secret("GIT_AUTH_TOKEN").map(GitAuth::Token),
    };
    GitRequest { address, auth, agent: agent.0.as_ref().map(|(socket, _)| socket.short()) }
}

async fn one(
    inner: &Arc<Inner>,
    options: &BuildOptions,
    (root, module, tree): (&Address, Module, Tree),
    cancelled: &Arc<AtomicBool>,
) -> Result<(Tree, Vec<Module>), Fault> {
    let files = inner.files.clone();
    let file = blocking(move || {
        let path = files.staging();
        let failed = || "cannot make room for a git repository".to_owned();
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.during(failed)?;
        // It goes with whoever has it open.
        std::fs::remove_file(&path).during(failed)?;
        Ok(file)
    })
    .await?;
    let writer = PackWriter::new(file, Limits::standard());
    let agent = Agent::open(inner, options, &module.address)?;
    let request = request(options, root, (&module.address, &agent));
    let writer = inner.sources.pack(request, module.commit, writer).await?;
    let (files, cancelled) = (inner.files.clone(), Arc::clone(cancelled));
    blocking(move || {
        let mut pack = writer.finish(&cancelled)?;
        let seconds = naru_git::commit_time(&mut pack, module.commit)?;
        let modified = FileTime { seconds, nanoseconds: 0 };
        let (at, commit) = (module.at.clone(), module.commit);
        let mut sink = Sink { files: &files, tree, at, modified, modules: Vec::new() };
        let directory = module.address.directory.clone();
        check_out(&mut pack, commit, &directory, &mut sink, &cancelled)?;
        let Sink { tree, modules, .. } = sink;
        let more =
            if modules.is_empty() { Vec::new() } else { named(&mut pack, &module, modules)? };
        Ok((tree, more))
    })
    .await
}

/// Where the submodules come from that were met.
fn named(pack: &mut Pack, module: &Module, met: Vec<(Vec<u8>, Oid)>) -> Result<Vec<Module>, Fault> {
    let list = naru_git::root_file(pack, module.commit, ".gitmodules", LONGEST_LIST)?;
    let known = naru_git::modules(&list.unwrap_or_default());
    let parent = module.address.transport.url();
    let mut found = Vec::with_capacity(met.len());
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
        let at = if module.at.is_empty() { path } else { [&module.at[..], b"/", &path].concat() };
        found.push(Module { address, commit, at, depth: module.depth + 1 });
    }
    Ok(found)
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
}
