//! Acts: what happened, told to whoever listens. Events are kept in memory, a bounded number of them.

use crate::model::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// How many events are remembered for `since`, and how far a listener may fall behind.
const REMEMBERED: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// What sort of thing it happened to (`container`, `image`, `volume`).
    pub kind: &'static str,
    /// What happened (`create`, `start`, `die`, …).
    pub action: String,
    /// The thing's ID.
    pub id: String,
    /// Its name, image, labels, exit code, …
    pub attributes: BTreeMap<String, String>,
}

/// Which events are told. Within a field any match counts; every field that is not empty must match.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Past events since this instant come first.
    pub since: Option<Timestamp>,
    /// The stream ends here.
    pub until: Option<Timestamp>,
    /// Kinds of things.
    pub kind: Vec<String>,
    /// Actions; `exec_start` matches `exec_start: sh`.
    pub action: Vec<String>,
    /// Containers: names or IDs.
    pub container: Vec<String>,
    /// Images: names or IDs.
    pub image: Vec<String>,
    /// Volumes: names.
    pub volume: Vec<String>,
    /// `key` or `key=value`; all must match.
    pub label: Vec<String>,
}

/// The service of events.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    past: Arc<Mutex<VecDeque<Arc<Event>>>>,
}

impl Default for Events {
    fn default() -> Events {
        Events { sender: broadcast::channel(REMEMBERED).0, past: Arc::default() }
    }
}

impl Events {
    /// Tells everybody.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        // The lock is held over both, so that a subscriber sees each event once: among the past ones or live.
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(Arc::clone(&event));
        // Nobody listening is no failure.
        drop(self.sender.send(event));
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }

    /// Listens, beginning with what is remembered if the filter has `since`.
    pub fn subscribe(&self, filter: EventFilter) -> EventStream {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let backlog = match filter.since {
            Some(since) => past.iter().filter(|event| event.time >= since).cloned().collect(),
            None => VecDeque::new(),
        };
        EventStream { backlog, receiver, filter }
    }
}

/// Events as they happen.
#[derive(Debug)]
pub struct EventStream {
    backlog: VecDeque<Arc<Event>>,
    receiver: broadcast::Receiver<Arc<Event>>,
    filter: EventFilter,
}

impl EventStream {
    /// The next event that the filter lets through; `None` once `until` has passed.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        while let Some(event) = self.backlog.pop_front() {
            if self.filter.matches(&event) {
                return Some(event);
            }
        }
        loop {
            let event = match self.filter.until {
                None => self.receiver.recv().await,
                Some(until) => {
                    let left = until.since(Timestamp::now());
                    match tokio::time::timeout(left, self.receiver.recv()).await {
                        Ok(event) => event,
                        Err(_elapsed) => return None,
                    }
                }
            };
            match event {
                Ok(event) if self.filter.matches(&event) => return Some(event),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl EventFilter {
    /// Whether the event is let through.
    pub fn matches(&self, event: &Event) -> bool {
        let any = |wanted: &[String], matches: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|wanted| matches(wanted))
        };
        let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
        self.until.is_none_or(|until| event.time <= until)
            && any(&self.kind, &|kind| kind == event.kind)
            && any(&self.action, &|action| {
                event.action == action
                    || event.action.split_once(": ").is_some_and(|(verb, _)| verb == action)
            })
            && any(&self.container, &|container| {
                event.kind == "container"
                    && (attribute("name") == container.trim_start_matches('/')
                        || (!container.is_empty() && event.id.starts_with(container)))
            })
            && any(&self.image, &|image| {
                attribute("image") == image
                    || (event.kind == "image" && (event.id == image || attribute("name") == image))
            })
            && any(&self.volume, &|volume| event.kind == "volume" && event.id == volume)
            && self.label.iter().all(|label| match label.split_once('=') {
                Some((key, value)) => event.attributes.get(key).is_some_and(|have| have == value),
                None => event.attributes.contains_key(label),
            })
    }
}
