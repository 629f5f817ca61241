use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn advertised(lines: &[&str]) -> Result<Server, WireError> {
    let mut reading = Advertisement::default();
    for line in lines {
        reading.line(line.as_bytes())?;
    }
    reading.finish()
}

fn oid(text: &str) -> Oid {
    Oid::parse(text).unwrap()
}

#[test]
fn servers_say_what_they_speak() {
    let two = advertised(&[
        "# service=git-upload-pack\n",
        "version 2\n",
        "ls-refs\n",
        "fetch=shallow\n",
        "object-format=sha1\n",
    ])
    .unwrap();
    assert!(two.can("fetch") && two.can("object-format") && !two.can("fetc"));
    let first = format!(
        "{A} HEAD\0multi_ack side-band-64k shallow ofs-delta symref=HEAD:refs/heads/main\n"
    );
    let tag = format!("{A} refs/tags/v1\n");
    let peeled = format!("{B} refs/tags/v1^{{}}\n");
    let zero = advertised(&[&first, &tag, &peeled]).unwrap();
    let Server::Zero { references, .. } = &zero else { panic!("{zero:?}") };
    assert_eq!(
        resolve(references, None),
        Ok(Tip { commit: oid(A), object: oid(A), name: "refs/heads/main".to_owned() })
    );
    assert_eq!(
        resolve(references, Some("v1")),
        Ok(Tip { commit: oid(B), object: oid(A), name: "refs/tags/v1".to_owned() })
    );
    assert_eq!(
        advertised(&["version 1\n", &first]).map(|server| matches!(server, Server::Zero { .. })),
        Ok(true)
    );
    for lines in [
        &[][..],
        &["ERR access denied\n"],
        &["<html>\n"],
        &["version 2\n", "object-format=sha256\n"],
        &[&format!("{A}{} HEAD\0\n", &A[..24])],
    ] {
        assert!(advertised(lines).is_err(), "{lines:?}");
    }
}

#[test]
fn branches_come_before_tags() {
    let all: Vec<Reference> =
        ["refs/heads/x", "refs/tags/x", "refs/tags/y", "refs/pull/1/head", "HEAD"]
            .iter()
            .zip(["1", "2", "3", "4", "5"])
            .map(|(name, digit)| Reference {
                name: (*name).to_owned(),
                oid: oid(&digit.repeat(40)),
                peeled: None,
                target: None,
            })
            .collect();
    for (name, digit) in [
        (None, Some("5")),
        (Some("HEAD"), Some("5")),
        (Some("x"), Some("1")),
        (Some("heads/x"), Some("1")),
        (Some("refs/tags/x"), Some("2")),
        (Some("tags/x"), Some("2")),
        (Some("y"), Some("3")),
        (Some("pull/1/head"), Some("4")),
        (Some("refs/pull/1/head"), Some("4")),
        (Some("z"), None),
        (Some("1111"), None),
    ] {
        let found = resolve(&all, name).ok().map(|tip| tip.commit.to_string());
        assert_eq!(found, digit.map(|digit| digit.repeat(40)), "{name:?}");
    }
    let line = format!("{A} refs/tags/v1 peeled:{B}\n");
    assert_eq!(listed(line.as_bytes()).unwrap().unwrap().peeled, Some(oid(B)));
    assert_eq!(listed(b"unborn HEAD symref-target:refs/heads/main\n"), Ok(None));
    assert!(listed(b"nonsense\n").is_err());
}

#[test]
fn what_is_asked_for() {
    let two = Server::Two { capabilities: vec!["fetch=shallow".to_owned()] };
    let want = Want { oids: vec![oid(A)], shallow: true };
    let text = String::from_utf8(fetch(&two, &want).unwrap()).unwrap();
    assert!(text.starts_with("0012command=fetch\n"), "{text}");
    assert!(text.ends_with(&format!("0032want {A}\n000ddeepen 1\n0009done\n0000")), "{text}");
    let capabilities = ["side-band-64k", "shallow"].map(str::to_owned).to_vec();
    let zero = Server::Zero { capabilities, references: Vec::new() };
    let both = Want { oids: vec![oid(A), oid(B)], shallow: false };
    let text = String::from_utf8(fetch(&zero, &both).unwrap()).unwrap();
    assert!(text.ends_with(&format!("0032want {B}\n00000009done\n")), "{text}");
    let old = Server::Zero { capabilities: Vec::new(), references: Vec::new() };
    assert!(matches!(fetch(&old, &want), Err(WireError::Unable(_))));
    assert!(fetch(&two, &Want { oids: Vec::new(), shallow: true }).is_err());
}

#[test]
fn packs_come_in_side_bands() {
    let two = Server::Two { capabilities: Vec::new() };
    let mut receiving = Receiving::new(&two);
    receiving.line(b"shallow-info\n").unwrap();
    receiving.line(format!("shallow {A}\n").as_bytes()).unwrap();
    receiving.delimiter().unwrap();
    receiving.line(b"packfile\n").unwrap();
    assert_eq!(receiving.line(b"\x01PACK").unwrap(), Piece::Pack(b"PACK"));
    assert_eq!(receiving.line(b"\x02working\n").unwrap(), Piece::Nothing);
    assert_eq!(receiving.line(b"\x03no memory\n"), Err(WireError::Refused("no memory".to_owned())));
    assert_eq!(receiving.flush(), Ok(Piece::End));
    assert!(receiving.line(b"\x01more").is_err());
    let zero = Server::Zero { capabilities: Vec::new(), references: Vec::new() };
    let mut receiving = Receiving::new(&zero);
    receiving.line(format!("shallow {A}\n").as_bytes()).unwrap();
    assert_eq!(receiving.flush(), Ok(Piece::Nothing));
    receiving.line(b"NAK\n").unwrap();
    assert_eq!(receiving.line(b"\x01x").unwrap(), Piece::Pack(b"x"));
    for lines in [
        &[&b"ERR upload-pack: not our ref\n"[..]][..],
        &[b"nonsense\n"],
        &[b"packfile\n", b"\x09x"],
        &[b"packfile\n", b""],
    ] {
        let mut receiving = Receiving::new(&two);
        assert!(lines.iter().try_for_each(|line| receiving.line(line).map(drop)).is_err());
    }
    assert!(Receiving::new(&two).flush().is_err() && Receiving::new(&two).delimiter().is_err());
}
