//! Images to and from registries.
//!
//! Acts: the transfer runs as a task of its own, which ends when whoever asked for it goes away; what it has brought by
//! then is kept for the next one. Progress never waits for its reader: lines that only count are left out for slow ones.

use super::{
    Credentials, DistributionInfo, Images, LoginAnswer, ProgressStream, PullRequest, PushRequest,
};
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Reference};
use naru_store::{Batch, Store};
use naru_transfer::{Progress, PulledImage, Pushed, Teller};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// From so many unread lines on, those that only count are left out.
const UNREAD: usize = 64;

impl Images {
    /// Brings images in from their registry.
    pub fn pull(&self, request: PullRequest) -> ProgressStream {
        let images = self.clone();
        if naru_transfer::is_hello(&request)
            && let Some(exe) = &self.exe
        {
            let exe = Arc::clone(exe);
            return self.with_progress(move |report| {
                let pulled = naru_transfer::pull_hello(&images.store, &exe, &request, report)?;
                images.tell_pulled(&request, &pulled);
                Ok(())
            });
        }
        if self.registries.holds(&request.reference) {
            return self.with_progress(move |report| {
                let pulled =
                    naru_transfer::pull_own(&images.store, &images.registries, &request, report)?;
                images.tell_pulled(&request, &pulled);
                Ok(())
            });
        }
        told(async move |teller| {
            let pulled =
                naru_transfer::pull(&images.store, &images.registries, &request, &teller).await?;
            images.tell_pulled(&request, &pulled);
            Ok(())
        })
    }

    /// Sends images to their registry. An image that is not here is a failure before the first line.
    pub fn push(&self, request: PushRequest) -> ProgressStream {
        let images = self.clone();
        if self.registries.owns(&request.reference) {
            return self.with_progress(move |report| {
                let pushed =
                    naru_transfer::push_own(&images.store, &images.registries, &request, report)?;
                images.tell_pushed(&request, pushed, report);
                Ok(())
            });
        }
        told(async move |teller| {
            let pushed =
                naru_transfer::push(&images.store, &images.registries, &request, &teller).await?;
            let named = pushed.clone();
            images.blocking(move |store| name_by_digest(store, &named)).await?;
            images.tell_pushed(&request, pushed, &*teller);
            Ok(())
        })
    }

    /// Tries credentials at a registry (`docker.io`, `host`, `host:port`).
    pub async fn login(
        &self,
        registry: &str,
        credentials: &Credentials,
    ) -> Result<LoginAnswer, Fault> {
        naru_transfer::login(&self.registries, registry, credentials).await
    }

    /// What a name means at its registry.
    pub async fn inspect_distribution(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<DistributionInfo, Fault> {
        if self.registries.holds(reference) {
            let reference = reference.clone();
            return self.blocking(move |store| naru_transfer::inspect_own(store, &reference)).await;
        }
        naru_transfer::inspect_distribution(&self.registries, reference, credentials).await
    }

    /// Lets go of connections that nobody uses.
    pub(crate) fn rest(&self) {
        self.registries.rest();
    }

    /// How registries are reached.
    pub fn registries(&self) -> &super::RegistriesConfig {
        self.registries.config()
    }

    /// Takes up what a name of the embedded registry means there.
    pub(super) async fn refresh(&self, name: &str) -> Result<(), Fault> {
        if !name.parse::<Reference>().is_ok_and(|reference| self.registries.holds(&reference)) {
            return Ok(());
        }
        let (registries, name) = (self.registries.clone(), name.to_owned());
        self.blocking(move |store| naru_transfer::refresh_own(store, &registries, &name)).await
    }

    /// Docker's event has the name where others have the ID.
    fn tell_pulled(&self, request: &PullRequest, pulled: &[PulledImage]) {
        if request.all_tags {
            let name = request.reference.familiar_name();
            self.tell("pull", &name, &name);
            return;
        }
        for image in pulled {
            self.tell("pull", &image.name.familiar(), &image.name.familiar_name());
        }
    }

    fn tell_pushed(
        &self,
        request: &PushRequest,
        pushed: Vec<(Reference, Descriptor)>,
        report: &dyn Fn(Progress),
    ) {
        for (reference, target) in &pushed {
            let tag = reference.tag().unwrap_or_default().to_owned();
            let pushed = Pushed { tag, digest: target.digest, size: target.size };
            report(Progress { pushed: Some(pushed), ..Progress::default() });
        }
        if request.all_tags {
            let name = request.reference.familiar_name();
            self.tell("push", &name, &name);
            return;
        }
        for (reference, _) in &pushed {
            self.tell("push", &reference.familiar(), &reference.familiar_name());
        }
    }
}

/// What was pushed is known by what the registry calls it for ever, too.
fn name_by_digest(store: &Store, pushed: &[(Reference, Descriptor)]) -> Result<(), Fault> {
    let mut batch = Batch::new();
    for (reference, target) in pushed {
        // The name may mean another image by now.
        if let Some(record) = store.images.get(reference)?
            && record.target.digest == target.digest
        {
            batch.put_name(&reference.with_digest(target.digest), &record);
        }
    }
    if !batch.is_empty() {
        store.commit(batch)?;
    }
    Ok(())
}

/// Progress of a task that ends with its reader.
#[derive(Debug)]
pub(super) struct Lines {
    receiver: UnboundedReceiver<Result<Progress, Fault>>,
    unread: Arc<AtomicUsize>,
    work: JoinHandle<()>,
}

impl Lines {
    pub(super) async fn next(&mut self) -> Option<Result<Progress, Fault>> {
        let line = self.receiver.recv().await?;
        self.unread.fetch_sub(1, Ordering::Relaxed);
        Some(line)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Runs a transfer that tells its progress; its failure is the last thing told.
pub(super) fn told<W, F>(work: W) -> ProgressStream
where
    W: FnOnce(Teller) -> F,
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let (sender, receiver) = unbounded_channel();
    let unread = Arc::new(AtomicUsize::new(0));
    let (lines, waiting) = (sender.clone(), Arc::clone(&unread));
    let teller: Teller = Arc::new(move |progress| tell(&lines, &waiting, progress));
    let (work, waiting) = (work(teller), Arc::clone(&unread));
    let work = tokio::spawn(async move {
        if let Err(error) = Box::pin(work).await {
            waiting.fetch_add(1, Ordering::Relaxed);
            // Whoever went away does not hear it.
            drop(sender.send(Err(error)));
        }
    });
    ProgressStream { lines: super::Lines::Registry(Lines { receiver, unread, work }) }
}

fn tell(
    lines: &UnboundedSender<Result<Progress, Fault>>,
    unread: &AtomicUsize,
    progress: Progress,
) {
    let counts = progress.detail.is_some_and(|(done, total)| done > 0 && done < total);
    if counts && unread.load(Ordering::Relaxed) >= UNREAD {
        return;
    }
    unread.fetch_add(1, Ordering::Relaxed);
    drop(lines.send(Ok(progress)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_errdefs::Kind;
    use std::time::Duration;
    use tokio::sync::oneshot;

    fn counting(done: u64) -> Progress {
        Progress::layer("Downloading", "x".to_owned(), done, 1000)
    }

    #[tokio::test]
    async fn a_slow_reader_misses_only_what_counts() {
        let mut stream = told(async |teller: Teller| {
            for done in 1..500 {
                teller(counting(done));
            }
            teller(Progress::status("Pull complete", Some("x")));
            Err(Fault::not_found("gone"))
        });
        tokio::task::yield_now().await;
        let mut statuses = Vec::new();
        let fault = loop {
            match stream.next().await {
                Some(Ok(line)) => statuses.push(line.status.unwrap()),
                Some(Err(fault)) => break fault,
                None => panic!("it ended without its failure"),
            }
        };
        assert_eq!(fault.kind(), Kind::NotFound);
        assert_eq!(statuses.len(), UNREAD + 1);
        assert_eq!(statuses.last().unwrap(), "Pull complete");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn a_transfer_ends_when_nobody_listens() {
        let (alive, mut ended) = oneshot::channel::<()>();
        let mut stream = told(async move |teller: Teller| {
            let _alive = alive;
            teller(counting(1));
            std::future::pending().await
        });
        assert!(stream.next().await.unwrap().is_ok());
        assert!(ended.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        drop(stream);
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        assert!(ended.expect("it must end").is_err());
    }
}
