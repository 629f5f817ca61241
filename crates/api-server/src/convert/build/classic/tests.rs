use super::*;
use bytes::Bytes;
use naru_errdefs::Fault;
use naru_oci::ImageId;
use std::time::Duration;

fn started(id: u32, at: usize, of: usize, instruction: &str) -> BuildEvent {
    BuildEvent::VertexStarted {
        id,
        name: format!("[{at}/{of}] {instruction}"),
        instruction: instruction.to_owned(),
        stage: None,
        step: Some((at, of)),
    }
}

fn output(id: u32, stderr: bool, text: &str) -> BuildEvent {
    BuildEvent::VertexOutput { id, stderr, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn done(id: u32, cached: bool) -> BuildEvent {
    let result = Some(Digest::of(&id.to_be_bytes()));
    BuildEvent::VertexDone { id, cached, took: Duration::ZERO, result, error: None }
}

fn short(id: u32) -> String {
    Digest::of(&id.to_be_bytes()).hex().chars().take(12).collect()
}

fn built() -> Result<Built, BuildFailure> {
    let digest = Digest::of(b"image");
    Ok(Built {
        image: ImageId(digest),
        target: naru_oci::Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest, 2),
        manifest: digest,
        size: 1,
        warnings: Vec::new(),
        is_new: true,
        all_cached: false,
        cache: None,
    })
}

/// Texts as they are; everything else as JSON.
fn play(
    classic: &mut Classic,
    events: Vec<BuildEvent>,
    end: &Result<Built, BuildFailure>,
) -> String {
    let mut lines: Vec<ProgressLine> =
        events.into_iter().flat_map(|event| classic.event(event)).collect();
    lines.extend(classic.end(end));
    let show = |line: ProgressLine| match &line.stream {
        Some(text) => text.clone(),
        None => serde_json::to_string(&line).unwrap() + "\n",
    };
    lines.into_iter().map(show).collect()
}

#[test]
fn as_the_classic_builder_says_it() {
    let mut classic = Classic::new(false, true);
    let events = vec![
        started(1, 1, 4, "FROM box"),
        done(1, true),
        started(2, 2, 4, "ENV A=b"),
        done(2, true),
        started(3, 3, 4, "RUN echo hello; echo err >&2"),
        output(3, false, "hello\n"),
        output(3, true, "err\n"),
        done(3, false),
        started(4, 4, 4, "COPY a /a"),
        done(4, false),
        BuildEvent::Tagged("one:1".parse().unwrap()),
    ];
    let text = play(&mut classic, events, &built());
    let container = text.lines().find_map(|line| line.strip_prefix(" ---> Running in ")).unwrap();
    assert_eq!(container.len(), 12);
    let id = Digest::of(b"image");
    assert_eq!(
        text,
        format!(
            "Step 1/4 : FROM box\n ---> {}\nStep 2/4 : ENV A=b\n ---> Using cache\n ---> {}\n\
             Step 3/4 : RUN echo hello; echo err >&2\n ---> Running in {container}\nhello\n\u{1b}[91merr\n\u{1b}[0m\
             Removing intermediate container {container}\n ---> {}\nStep 4/4 : COPY a /a\n ---> {}\n\
             {{\"aux\":{{\"ID\":\"{id}\"}}}}\nSuccessfully built {}\nSuccessfully tagged one:1\n",
            short(1),
            short(2),
            short(3),
            short(4),
            &id.hex()[..12]
        )
    );
}

#[test]
fn steps_that_run_side_by_side_are_said_one_after_the_other() {
    let mut classic = Classic::new(false, false);
    let text = play(
        &mut classic,
        vec![
            started(1, 1, 4, "FROM a"),
            started(3, 3, 4, "FROM b"),
            done(3, false),
            started(4, 4, 4, "RUN late"),
            output(4, false, "late\n"),
            done(1, false),
            started(2, 2, 4, "RUN early"),
            output(2, false, "early\n"),
            done(4, false),
            done(2, false),
        ],
        &built(),
    );
    let steps: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("Step") || l.ends_with("ly") || *l == "late")
        .collect();
    assert_eq!(
        steps,
        [
            "Step 1/4 : FROM a",
            "Step 2/4 : RUN early",
            "early",
            "Step 3/4 : FROM b",
            "Step 4/4 : RUN late",
            "late"
        ]
    );
}

#[test]
fn a_gap_in_the_numbers_loses_nothing() {
    let mut classic = Classic::new(false, false);
    let text = play(&mut classic, vec![started(1, 2, 3, "FROM a"), done(1, false)], &built());
    assert!(text.starts_with("Step 2/3 : FROM a\n ---> "), "{text}");
}

#[test]
fn a_failure_has_its_code() {
    let fault = Fault::invalid("The command '/bin/sh -c exit 3' returned a non-zero code: 3");
    let end = Err(BuildFailure { fault, code: Some(3) });
    let events = || {
        let error = Some("exit code: 3".to_owned());
        vec![
            started(1, 1, 1, "RUN exit 3"),
            output(1, false, "oh"),
            BuildEvent::VertexDone {
                id: 1,
                cached: false,
                took: Duration::ZERO,
                result: None,
                error,
            },
        ]
    };
    let loud = play(&mut Classic::new(false, true), events(), &end);
    assert!(loud.contains("oh{\"error\":\"The command '/bin/sh -c exit 3' returned a non-zero code: 3\",\"errorDetail\":{\"code\":3,"), "{loud}");
    assert!(!loud.contains("Removing"));
    // A quiet build says all that it kept to itself.
    let quiet = play(&mut Classic::new(true, true), events(), &end);
    assert_eq!(quiet, loud);
}

#[test]
fn a_quiet_build_says_its_id_only() {
    let events = vec![started(1, 1, 1, "FROM a"), done(1, false)];
    let text = play(&mut Classic::new(true, true), events, &built());
    assert_eq!(text, format!("{}\n", Digest::of(b"image")));
}

#[test]
fn what_waits_is_bounded() {
    let mut classic = Classic::new(false, false);
    classic.event(started(1, 1, 2, "RUN sleep"));
    classic.event(started(2, 2, 2, "RUN yes"));
    for _ in 0..3 * WAITING {
        classic.event(output(2, false, "y\n"));
    }
    assert!(classic.waiting.values().map(|step| step.lines.len()).sum::<usize>() <= WAITING + 1);
    classic.event(done(1, false));
    let said = classic.event(done(2, false));
    assert!(said.is_empty() || said.len() <= WAITING);
}
