use super::*;

fn url(text: &str) -> Url {
    format!("http://r/{text}").parse().unwrap()
}

fn open(at: Option<&str>, offset: Option<u64>) -> Heard {
    Heard::Open { at: at.map(url), offset }
}

#[test]
fn every_answer_has_its_next_step() {
    let send = |from| Step::Send { at: url("a"), from };
    let status = Step::Status { at: url("a") };
    let finish = Step::Finish { at: url("a") };
    let done = |mounted| Step::Done { mounted };
    for (step, heard, expected) in [
        (Step::Begin, Heard::Created, Ok(done(true))),
        (Step::Begin, open(Some("a"), Some(0)), Ok(send(0))),
        (Step::Begin, open(None, None), Err(Nonsense::NoLocation)),
        (Step::Begin, Heard::Lost, Err(Nonsense::NeverOpen)),
        (Step::Begin, Heard::Dropped, Ok(Step::Begin)),
        (send(0), open(Some("b"), Some(100)), Ok(Step::Finish { at: url("b") })),
        (send(0), open(None, None), Ok(finish.clone())),
        (send(0), open(Some("b"), Some(40)), Ok(Step::Send { at: url("b"), from: 40 })),
        (send(40), Heard::Created, Ok(done(false))),
        (send(40), Heard::Lost, Ok(Step::Begin)),
        (send(40), Heard::Dropped, Ok(status.clone())),
        (send(40), Heard::Elsewhere, Ok(status.clone())),
        (status.clone(), Heard::Elsewhere, Ok(Step::Begin)),
        (finish.clone(), Heard::Elsewhere, Ok(status.clone())),
        (Step::Begin, Heard::Elsewhere, Err(Nonsense::NeverOpen)),
        (send(0), open(None, Some(101)), Err(Nonsense::TooFar)),
        (status.clone(), open(None, Some(7)), Ok(send(7))),
        (status.clone(), open(None, Some(100)), Ok(finish.clone())),
        (status.clone(), open(None, None), Ok(Step::Begin)),
        (status.clone(), Heard::Lost, Ok(Step::Begin)),
        (status.clone(), Heard::Created, Ok(Step::Begin)),
        (status.clone(), Heard::Dropped, Ok(status.clone())),
        (finish.clone(), Heard::Created, Ok(done(false))),
        (finish.clone(), Heard::Dropped, Ok(status.clone())),
        (finish.clone(), Heard::Lost, Ok(Step::Begin)),
        (finish, open(None, None), Ok(status)),
        (done(true), Heard::Lost, Ok(done(true))),
    ] {
        assert_eq!(next(&step, heard.clone(), 100), expected, "{step:?} {heard:?}");
    }
    assert_eq!(next(&Step::Begin, open(Some("a"), None), 0), Ok(Step::Finish { at: url("a") }));
}

/// A registry that keeps what it got, connections that break anywhere: no byte is sent twice.
#[test]
fn bytes_that_arrived_are_never_sent_again() {
    let size = 1000_u64;
    for seed in 0..500_u64 {
        let mut random = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut roll = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (random >> 33) % below
        };
        let (mut has, mut sent, mut step, mut steps) = (0_u64, 0_u64, Step::Begin, 0);
        while !matches!(step, Step::Done { .. }) {
            steps += 1;
            assert!(steps < 2000, "it never ends with seed {seed}");
            let heard = match &step {
                Step::Begin => open(Some("a"), None),
                Step::Status { .. } => open(None, Some(has)),
                Step::Send { from, .. } => {
                    assert_eq!(*from, has, "seed {seed}");
                    let got = roll(size - from + 1);
                    has += got;
                    sent += got;
                    match roll(3) {
                        0 if has == size => open(None, Some(has)),
                        _ => Heard::Dropped,
                    }
                }
                Step::Finish { .. } => {
                    assert_eq!(has, size);
                    if roll(2) == 0 { Heard::Dropped } else { Heard::Created }
                }
                Step::Done { .. } => break,
            };
            step = next(&step, heard, size).unwrap();
        }
        assert_eq!(sent, size, "seed {seed}");
    }
}

#[test]
fn progress_earns_further_attempts() {
    let mut budget = Budget::new(3);
    for offset in 1..100 {
        assert!(budget.failed(None, 0).is_some());
        assert!(budget.failed(None, 255).is_some());
        budget.reached(offset);
    }
    budget.reached(5);
    assert!(budget.failed(None, 0).is_some() && budget.failed(None, 0).is_some());
    assert_eq!(budget.failed(None, 0), None);
    assert_eq!(Budget::new(1).failed(None, 0), None);
}

#[test]
fn waits_grow_and_are_bounded() {
    let mut budget = Budget::new(40);
    let waits: Vec<Duration> = (0..30).map_while(|_| budget.failed(None, 0)).collect();
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT));
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(budget.failed(hour, 0), Some(LONGEST_WAIT));
    assert_eq!(budget.failed(Some(Duration::ZERO), 9), Some(Duration::ZERO));
}
