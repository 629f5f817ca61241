use super::{Mount, MountError, MountKind, Sharing, from, parse};

fn read(text: &str) -> Result<Mount, MountError> {
    parse(text, &mut |value| Ok(value.replace("$V", "value")))
}

fn fails(text: &str, with: &str) {
    let Err(MountError::Field { message, suggestion }) = read(text) else {
        panic!("{text}: {:?}", read(text))
    };
    let whole = match suggestion {
        Some(word) => format!("{message} (did you mean {word}?)"),
        None => message,
    };
    assert_eq!(whole, with, "{text}");
}

#[test]
fn every_type_takes_its_own_fields() {
    let bind = |from: Option<&str>, source: Option<&str>| MountKind::Bind {
        from: from.map(str::to_owned),
        source: source.map(str::to_owned),
    };
    let mount = |kind, target: Option<&str>, read_only| Mount {
        kind,
        target: target.map(str::to_owned),
        read_only,
    };
    for (text, expected) in [
        ("target=/a", mount(bind(None, None), Some("/a"), true)),
        ("type=bind,dst=/a,rw", mount(bind(None, None), Some("/a"), false)),
        (
            "from=base,src=/x,target=/a,ro=false",
            mount(bind(Some("base"), Some("/x")), Some("/a"), false),
        ),
        ("TYPE=bind,destination=/$V", mount(bind(None, None), Some("/value"), true)),
        (
            "type=cache,target=/c",
            mount(
                MountKind::Cache {
                    id: None,
                    from: None,
                    source: None,
                    sharing: Sharing::Shared,
                    mode: None,
                    uid: None,
                    gid: None,
                },
                Some("/c"),
                false,
            ),
        ),
        (
            "type=cache,id=x,target=/c,sharing=locked,mode=0755,uid=1,gid=2,from=b,source=s,readonly",
            mount(
                MountKind::Cache {
                    id: Some("x".to_owned()),
                    from: Some("b".to_owned()),
                    source: Some("s".to_owned()),
                    sharing: Sharing::Locked,
                    mode: Some(0o755),
                    uid: Some(1),
                    gid: Some(2),
                },
                Some("/c"),
                true,
            ),
        ),
        (
            "type=tmpfs,target=/t,size=64m",
            mount(MountKind::Tmpfs { size: Some(64 << 20) }, Some("/t"), false),
        ),
        (
            "type=secret,id=aws",
            mount(
                MountKind::Secret {
                    id: "aws".to_owned(),
                    env: None,
                    required: false,
                    mode: None,
                    uid: None,
                    gid: None,
                },
                Some("/run/secrets/aws"),
                true,
            ),
        ),
        (
            "required=true,type=secret,target=/root/.aws,env,mode=0444"
                .replace(",env", "")
                .as_str(),
            mount(
                MountKind::Secret {
                    id: ".aws".to_owned(),
                    env: None,
                    required: true,
                    mode: Some(0o444),
                    uid: None,
                    gid: None,
                },
                Some("/root/.aws"),
                true,
            ),
        ),
        (
            "type=secret,id=token,env=TOKEN",
            mount(
                MountKind::Secret {
                    id: "token".to_owned(),
                    env: Some("TOKEN".to_owned()),
                    required: false,
                    mode: None,
                    uid: None,
                    gid: None,
                },
                None,
                true,
            ),
        ),
        (
            "type=ssh,id=key,required,mode=600,uid=5",
            mount(
                MountKind::Ssh {
                    id: Some("key".to_owned()),
                    required: true,
                    mode: Some(0o600),
                    uid: Some(5),
                    gid: None,
                },
                None,
                true,
            ),
        ),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_a_type_has_no_use_for_is_refused() {
    fails("type=bnd,target=/a", "unsupported mount type \"bnd\" (did you mean bind?)");
    fails(
        "type=cache,shring=locked",
        "unexpected key 'shring' in 'shring=locked' (did you mean sharing?)",
    );
    fails("type=cache,sharing=lockd", "unsupported sharing value \"lockd\" (did you mean locked?)");
    fails("target=/a,required", "unexpected key 'required' for mount type 'bind'");
    fails("type=cache,size=1m", "unexpected key 'size' for mount type 'cache'");
    fails("type=tmpfs,size=many", "invalid value for size: many");
    fails("type=bind,mode=0755", "mode not allowed for \"bind\" type mounts");
    fails("type=tmpfs,uid=1", "uid not allowed for \"tmpfs\" type mounts");
    fails("type=cache,uid=-1", "invalid value -1 for uid");
    fails("type=cache,mode=9", "invalid value 9 for mode");
    fails("type=bind,ro=maybe", "invalid value for ro: maybe");
    fails("type=bind,sharing=shared", "invalid cache sharing set for bind mount");
    fails("type=secret,id=a,sharing=shared", "secret mount should not define sharing");
    fails("type=secret,id=a,from=b", "secret mount should not have a from");
    fails("type=secret,id=a,source=b", "both source and id can't be set");
    fails("type=secret", "invalid secret mount. one of source, target required");
    fails("type=ssh,source=/a", "unexpected key 'source' for mount type 'ssh'");
    fails("type=bind,id=a", "unexpected key 'id' for mount type 'bind'");
    fails("type=cache,env=A", "unexpected key 'env' for mount type 'cache'");
    fails(
        "readonl,target=/a",
        "invalid field 'readonl' must be a key=value pair (did you mean readonly?)",
    );
    fails("\"target=/a", "failed to parse csv mounts: extraneous or missing \" in quoted-field");
}

#[test]
fn the_source_stage_is_known_before_any_variable() {
    assert_eq!(from("type=bind,from=base,target=/$X"), Ok(Some("base".to_owned())));
    assert_eq!(from("target=/a"), Ok(None));
    assert!(from("from=$BASE").is_err());
}
