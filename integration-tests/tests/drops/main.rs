//! Connections that are cut two hundred times at random points, daemons and registries that are killed: pulls and pushes finish, what
//! was moved is not moved again, nothing is corrupt and nothing is left. Acts: as root, with the built binary; each test has a network
//! of its own.

mod full;
mod place;
mod proxy;
mod random;

use integration_tests::{Done, until};
use place::{PROXY, Place, REGISTRY};
use proxy::{Manner, Proxy, SWALLOWED, Seen};
use random::Random;
use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(110);
const CUTS: u64 = 200;
/// Bytes until a cut: a connection carries half of it on average, so that the image lasts for many more than the cuts.
const MOST: u64 = 160 << 10;
/// Heads of requests and answers, the configuration and the manifest, for each connection.
const HEADS: u64 = 4 << 10;
/// Bytes a second while daemons are killed: slow enough to be killed often.
const RATE: u64 = 5_000_000;

#[track_caller]
fn proxy(place: &Place, random: &mut Random, cuts: u64, rate: Option<u64>) -> Proxy {
    let own = Random::clone(random);
    random.next();
    let (address, target) = (PROXY.parse().expect("one"), REGISTRY.parse().expect("one"));
    let manner = Manner { cuts, most: MOST, rate };
    place.daemon.nearby(|| Proxy::start(address, target, manner, own))
}

/// What was moved, in words.
fn figures(place: &Place, seen: &Seen, moved: u64, since: Instant) -> String {
    let text = format!(
        "{moved} bytes for {} of layers, {} cuts ({} resets) of {} connections, {:.1} s",
        place.bytes,
        Seen::get(&seen.cuts),
        Seen::get(&seen.resets),
        Seen::get(&seen.connections),
        since.elapsed().as_secs_f64()
    );
    println!("{text}");
    text
}

/// Nothing was moved twice, but what a reset swallowed on its way, and heads.
#[track_caller]
fn check_moved(place: &Place, seen: &Seen, moved: u64, since: Instant) {
    let text = figures(place, seen, moved, since);
    assert!(Seen::get(&seen.cuts) >= CUTS, "{text}");
    let heads = Seen::get(&seen.connections) * HEADS;
    let swallowed = Seen::get(&seen.resets) * SWALLOWED;
    assert!(moved >= place.bytes, "{text}: the proxy has not seen all of it");
    assert!(moved <= place.bytes + heads + swallowed, "{text}: bytes were moved twice");
}

#[test]
fn a_pull_through_two_hundred_cuts_fetches_nothing_twice() {
    let mut random = Random::new();
    let mut place = Place::new(&mut random);
    place.put_at_registry();
    let proxy = proxy(&place, &mut random, CUTS, None);
    let seen = proxy.seen();
    let name = format!("{PROXY}/team/x:1");
    let since = Instant::now();
    place.daemon.naru(&["pull", "-q", &name]).ok();
    check_moved(&place, &seen, Seen::get(&seen.down), since);
    place.check_pulled(&name);
}

#[test]
fn a_push_through_two_hundred_cuts_sends_nothing_twice() {
    let mut random = Random::new();
    let place = Place::new(&mut random);
    let proxy = proxy(&place, &mut random, CUTS, None);
    let seen = proxy.seen();
    let name = format!("{PROXY}/team/x:1");
    place.daemon.naru(&["tag", "made", &name]).ok();
    let since = Instant::now();
    let pushed = place.daemon.naru(&["push", &name]).ok();
    check_moved(&place, &seen, Seen::get(&seen.up), since);
    place.check_store();
    let open = place.check_registry(&format!("{REGISTRY}/team/x:1"), &pushed);
    // An answer to "begin an upload" that was cut leaves one that nobody knows of; it has no bytes, and the daily upkeep takes it.
    assert!(open.len() as u64 <= CUTS / 10 && open.iter().all(|(_, size)| *size == 0), "{open:?}");
}

/// A client's command that goes on beside the test.
struct Asked {
    child: Child,
    words: Vec<String>,
}

impl Asked {
    #[track_caller]
    fn start(place: &Place, words: &[&str]) -> Asked {
        let child = place
            .daemon
            .command(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts");
        Asked { child, words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn is_done(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }

    /// Waits for its end.
    #[track_caller]
    fn end(mut self) -> Done {
        let Some(status) = until(LIMIT, || self.child.try_wait().expect("our own child")) else {
            drop(self.child.kill());
            drop(self.child.wait());
            panic!("{:?} does not end", self.words);
        };
        let mut done = Done {
            code: status.code().unwrap_or(255),
            stdout: String::new(),
            stderr: String::new(),
        };
        // What it says is short enough for the pipes.
        self.child.stdout.take().map(|mut out| out.read_to_string(&mut done.stdout));
        self.child.stderr.take().map(|mut out| out.read_to_string(&mut done.stderr));
        done
    }
}

/// Lets work go on for a random moment; says whether it ended within.
fn pass_time(random: &mut Random, asked: &mut Asked, (least, most): (u64, u64)) -> bool {
    let end = Instant::now() + Duration::from_millis(least + random.below(most - least));
    let over = || asked.is_done().then_some(true).or((Instant::now() >= end).then_some(false));
    until(LIMIT, over).unwrap_or(false)
}

/// Bytes that one killed process may lose of each transfer that it has under way: those that it holds before it writes them, which is
/// for a twentieth of a second or 512 KiB at most, and those in the sockets' buffers.
const HELD: u64 = 512 << 10;

#[test]
fn a_pull_goes_on_after_each_kill_of_the_daemon() {
    const DOWNLOADS: u64 = 3;
    let mut random = Random::new();
    let mut place = Place::new(&mut random);
    place.put_at_registry();
    let proxy = proxy(&place, &mut random, 0, Some(RATE));
    let seen: Arc<Seen> = proxy.seen();
    let name = format!("{PROXY}/team/x:1");
    let since = Instant::now();
    let mut kills = 0;
    let mut asked = Asked::start(&place, &["pull", "-q", &name]);
    while kills < 12 && !pass_time(&mut random, &mut asked, (50, 800)) {
        place.daemon.kill();
        kills += 1;
        assert_ne!(asked.end().code, 0, "the daemon was killed");
        place.daemon.launch();
        asked = Asked::start(&place, &["pull", "-q", &name]);
    }
    asked.end().ok();
    let moved = Seen::get(&seen.down);
    let text = format!("{kills} kills: {}", figures(&place, &seen, moved, since));
    assert!(kills >= 5, "{text}");
    let heads = Seen::get(&seen.connections) * HEADS;
    assert!(moved >= place.bytes, "{text}: the proxy has not seen all of it");
    assert!(moved <= place.bytes + heads + kills * DOWNLOADS * HELD, "{text}");
    place.check_pulled(&name);
    // The next start has nothing to sweep, either.
    place.daemon.terminate();
    place.daemon.launch();
    place.check_pulled(&name);
}

#[test]
fn a_push_goes_on_after_each_kill_of_the_daemon_and_of_the_registry() {
    const UPLOADS: u64 = 5;
    // Where an upload goes on is on the disk a quarter of a second after it began.
    const UNKNOWN: u64 = RATE / 3;
    let mut random = Random::new();
    let mut place = Place::new(&mut random);
    let proxy = proxy(&place, &mut random, 0, Some(RATE));
    let seen: Arc<Seen> = proxy.seen();
    let name = format!("{PROXY}/team/x:1");
    place.daemon.naru(&["tag", "made", &name]).ok();
    let since = Instant::now();
    let mut kills = [0; 2];
    let mut asked = Asked::start(&place, &["push", &name]);
    while kills.iter().sum::<u64>() < 10 && !pass_time(&mut random, &mut asked, (200, 1200)) {
        if random.below(2) == 0 {
            place.daemon.kill();
            assert_ne!(asked.end().code, 0, "the daemon was killed");
            place.daemon.launch();
            asked = Asked::start(&place, &["push", &name]);
            kills[0] += 1;
        } else {
            // The push under way notices, and waits for it.
            place.kill_registry();
            place.start_registry();
            kills[1] += 1;
        }
    }
    let pushed = asked.end().ok();
    let moved = Seen::get(&seen.up);
    let text = format!("{kills:?} kills: {}", figures(&place, &seen, moved, since));
    assert!(kills.iter().sum::<u64>() >= 5, "{text}");
    let heads = Seen::get(&seen.connections) * HEADS;
    let lost = kills[0] * UNKNOWN + kills.iter().sum::<u64>() * UPLOADS * HELD;
    assert!(moved >= place.bytes, "{text}: the proxy has not seen all of it");
    assert!(moved <= place.bytes + heads + lost, "{text}");
    place.check_store();
    let open = place.check_registry(&format!("{REGISTRY}/team/x:1"), &pushed);
    // Uploads that began within the quarter of a second before a kill are known to nobody; the daily upkeep takes them.
    println!("{text}; {} uploads that nobody knows of", open.len());
    assert!(open.len() as u64 <= kills[0] * UPLOADS, "{text}: {open:?}");
}
