use super::*;
use crate::log_record;
use proptest::prelude::*;

#[test]
fn states_and_exits_survive_the_trip() {
    let batch =
        Batch { stream: Stream::Stderr, from: 1, to: 2, log_before: 3, log_after: 4, time: -5 };
    for state in [State::default(), State { logged: [7, 8], batch: Some(batch) }] {
        assert_eq!(decode(&encode(&state)), state);
    }
    assert_eq!(decode(&[]), State::default());
    for status in [ExitStatus::Code(3), ExitStatus::Signal(9), ExitStatus::Unknown] {
        let exit = Exit { status, at: 12 };
        let mut file = vec![0; LENGTH];
        let (at, bytes) = encode_exit(&exit);
        let at = usize::try_from(at).unwrap();
        assert_eq!(decode_exit(&file), None);
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        assert_eq!(decode_exit(&file), Some(exit));
    }
}

/// What survives a kill: the spools, the state file, the log.
#[derive(Default)]
struct World {
    spool: [Vec<u8>; 2],
    state: Vec<u8>,
    log: Vec<u8>,
}

/// A monitor on a budget of steps: when it is used up, it is dead.
struct Mortal {
    steps: usize,
}

impl Mortal {
    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        Some(())
    }

    /// Appends byte by byte, so that it can die in between.
    fn append(&mut self, log: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
        for byte in bytes {
            self.step()?;
            log.push(*byte);
        }
        Some(())
    }

    fn run(&mut self, world: &mut World, time: i64) -> Option<()> {
        let resumed = resume(&decode(&world.state), world.log.len() as u64);
        if let Some((batch, done)) = resumed.unfinished {
            let bytes = encoded(world, &batch);
            self.append(&mut world.log, &bytes[usize::try_from(done).unwrap()..])?;
        }
        let mut logged = resumed.logged;
        for stream in Stream::ALL {
            loop {
                let at = usize::try_from(*slot(&mut logged, stream)).unwrap();
                let rest = &world.spool[stream as usize][at..];
                let Some(length) = log_record::next_length(rest, true) else { break };
                let log_before = world.log.len() as u64;
                let mut batch = Batch {
                    stream,
                    from: at as u64,
                    to: (at + length) as u64,
                    log_before,
                    log_after: 0,
                    time,
                };
                let bytes = encoded(world, &batch);
                batch.log_after = log_before + bytes.len() as u64;
                self.step()?;
                world.state = encode(&State { logged, batch: Some(batch) }).to_vec();
                self.append(&mut world.log, &bytes)?;
                *slot(&mut logged, stream) = batch.to;
            }
        }
        Some(())
    }
}

fn encoded(world: &World, batch: &Batch) -> Vec<u8> {
    let range = usize::try_from(batch.from).unwrap()..usize::try_from(batch.to).unwrap();
    let mut out = Vec::new();
    let text = &world.spool[batch.stream as usize][range];
    log_record::encode(&mut out, batch.stream, text, &log_record::format_time(batch.time));
    out
}

fn check_kills(stdout: &str, stderr: &str, lives: &[usize]) {
    let mut world = World {
        spool: [stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec()],
        ..World::default()
    };
    let mut time = 1_000_000_007;
    for steps in lives {
        Mortal { steps: *steps }.run(&mut world, time);
        time += 1_234_567;
    }
    Mortal { steps: usize::MAX }.run(&mut world, time).unwrap();
    let mut read = [String::new(), String::new()];
    for line in world.log.split_inclusive(|byte| *byte == b'\n') {
        let record = log_record::decode(line).expect("every line of the log is a record");
        read[record.stream as usize].push_str(&record.text);
    }
    assert_eq!(read, [stdout.to_owned(), stderr.to_owned()]);
}

#[test]
fn killed_at_every_step_nothing_is_missing_or_doubled() {
    for steps in 0..400 {
        check_kills("one\ntwo\nthree", "oops\nagain\n", &[steps]);
    }
}

proptest! {
    #[test]
    fn killed_again_and_again(
        stdout in "[a-c\n\"]{0,60}",
        stderr in "[a-c\n\"]{0,60}",
        lives in proptest::collection::vec(0usize..200, 0..6),
    ) {
        check_kills(&stdout, &stderr, &lives);
    }
}

#[test]
fn a_log_that_somebody_changed_counts_as_written() {
    let batch =
        Batch { stream: Stream::Stdout, from: 0, to: 10, log_before: 100, log_after: 200, time: 0 };
    let state = State { logged: [0, 5], batch: Some(batch) };
    for length in [0, 99, 200, 201] {
        let resumed = resume(&state, length);
        assert_eq!(resumed, Resume { logged: [10, 5], unfinished: None }, "{length}");
    }
    assert_eq!(resume(&state, 100).unfinished, Some((batch, 0)));
    assert_eq!(resume(&state, 150).unfinished, Some((batch, 50)));
}
