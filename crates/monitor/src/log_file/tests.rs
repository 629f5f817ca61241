use super::*;
use crate::log_record::Record;
use proptest::prelude::*;
use tempfile::TempDir;

struct Fixture {
    directory: TempDir,
    log: LogFile,
    time: i64,
}

impl Fixture {
    fn new(max_size: u64, max_files: u32) -> Fixture {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("c-json.log");
        let spec = LogSpec { path, max_size: Some(max_size), max_files };
        let log = LogFile::open(&spec, None).unwrap();
        Fixture { directory, log, time: 0 }
    }

    fn write(&mut self, text: &str) {
        let mut out = Vec::new();
        self.time += 1;
        let time = log_record::format_time(self.time);
        log_record::encode(&mut out, Stream::Stdout, text.as_bytes(), &time);
        let length = self.log.length().unwrap();
        if self.log.room(length) < out.len() as u64 {
            self.log.rotate().unwrap();
        }
        let length = self.log.length().unwrap();
        self.log.append(&out, length).unwrap();
    }

    fn reader(&self, options: ReadOptions) -> Reader {
        Reader::open(self.log.path(), options).unwrap()
    }

    fn read(&self, options: ReadOptions) -> Vec<String> {
        rest(&mut self.reader(options))
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn rest(reader: &mut Reader) -> Vec<String> {
    let next = || reader.next_record().unwrap().map(|record: Record| record.text);
    std::iter::from_fn(next).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("line {number}\n")).collect()
}

#[test]
fn files_rotate_and_are_read_in_order() {
    let mut fixture = Fixture::new(400, 3);
    for line in numbers(0..12) {
        fixture.write(&line);
    }
    assert_eq!(fixture.files(), ["c-json.log", "c-json.log.1", "c-json.log.2"]);
    assert_eq!(fixture.read(ReadOptions::default()), numbers(0..12));
    for line in numbers(12..100) {
        fixture.write(&line);
    }
    assert_eq!(fixture.files().len(), 3);
    let kept = fixture.read(ReadOptions::default());
    assert!(kept.len() >= 10, "{kept:?}");
    assert_eq!(kept.last().unwrap(), "line 99\n");
}

#[test]
fn tail_since_and_until_choose() {
    let mut fixture = Fixture::new(400, 3);
    for line in numbers(0..12) {
        fixture.write(&line);
    }
    for count in 0..=12u32 {
        let options = ReadOptions { tail: Some(u64::from(count)), ..ReadOptions::default() };
        assert_eq!(fixture.read(options), numbers(12 - count..12), "{count}");
    }
    let options = ReadOptions { tail: Some(100), ..ReadOptions::default() };
    assert_eq!(fixture.read(options), numbers(0..12));
    // Line n was written at n + 1.
    let options = ReadOptions { since: Some(4), until: Some(6), tail: None };
    assert_eq!(fixture.read(options), numbers(3..6));
    let mut reader = fixture.reader(options);
    rest(&mut reader);
    assert!(reader.has_ended());
}

#[test]
fn a_reader_follows_over_rotations() {
    let mut fixture = Fixture::new(400, 4);
    let mut reader = fixture.reader(ReadOptions::default());
    let mut read = Vec::new();
    for (index, line) in numbers(0..200).iter().enumerate() {
        fixture.write(line);
        if index % 9 == 0 {
            read.extend(rest(&mut reader));
        }
    }
    read.extend(rest(&mut reader));
    assert_eq!(read, numbers(0..200));
}

#[test]
fn a_reader_may_come_before_the_log() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    let mut reader =
        Reader::open(&path, ReadOptions { tail: Some(5), ..Default::default() }).unwrap();
    assert!(rest(&mut reader).is_empty());
    let mut log = LogFile::open(&LogSpec::bounded(&path), None).unwrap();
    log.lose(5, 1, Some(&io::Error::other("no reason")));
    log.mark_gap(2).unwrap();
    assert_eq!(
        rest(&mut reader),
        [
            "naru: 5 bytes of output since 1970-01-01T00:00:00.000000001Z were not logged: no reason\n"
        ]
    );
}

#[test]
fn a_single_file_starts_afresh() {
    let mut fixture = Fixture::new(400, 1);
    let mut reader = fixture.reader(ReadOptions::default());
    let mut read = Vec::new();
    for line in numbers(0..50) {
        fixture.write(&line);
        read.extend(rest(&mut reader));
    }
    assert_eq!(fixture.files(), ["c-json.log"]);
    assert_eq!(read, numbers(0..50));
}

#[test]
fn half_a_line_is_not_shown_yet() {
    let mut fixture = Fixture::new(10_000, 2);
    fixture.write("one\n");
    let mut reader = fixture.reader(ReadOptions::default());
    let length = fixture.log.length().unwrap();
    let mut record = Vec::new();
    log_record::encode(&mut record, Stream::Stderr, b"two\n", "1970-01-01T00:00:09Z");
    let (head, tail) = record.split_at(20);
    fixture.log.append(head, length).unwrap();
    assert_eq!(rest(&mut reader), ["one\n"]);
    fixture.log.append(tail, length + 20).unwrap();
    assert_eq!(rest(&mut reader), ["two\n"]);
}

#[test]
fn a_rotation_that_was_killed_drops_nothing_early() {
    let mut fixture = Fixture::new(400, 4);
    for line in numbers(0..12) {
        fixture.write(&line);
    }
    let path = fixture.log.path().to_owned();
    let files = fixture.files();
    assert_eq!(files.len(), 3);
    // As if killed after `.1` became `.2` … and before the newest became `.1`.
    std::fs::rename(rotated(&path, 2), rotated(&path, 3)).unwrap();
    std::fs::rename(rotated(&path, 1), rotated(&path, 2)).unwrap();
    assert_eq!(fixture.read(ReadOptions::default()), numbers(0..12));
    fixture.log.rotate().unwrap();
    assert_eq!(fixture.files().len(), 4);
    assert_eq!(fixture.read(ReadOptions::default()), numbers(0..12));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_file_grows_beyond_its_bound(lengths in proptest::collection::vec(0usize..300, 1..40)) {
        let mut fixture = Fixture::new(500, 3);
        for length in lengths {
            fixture.write(&"x".repeat(length));
            for name in fixture.files() {
                let size = std::fs::metadata(fixture.directory.path().join(name)).unwrap().len();
                prop_assert!(size <= 500);
            }
        }
    }
}
