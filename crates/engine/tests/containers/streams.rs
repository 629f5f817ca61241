//! Standard streams, logs, execs, exports.

use crate::house::{House, drain, sh, soon, with};
use bytes::Bytes;
use naru_engine::{
    ContainerConfig, ExecRequest, ExecStart, HostConfig, LogOptions, StopOptions, Tail,
};
use naru_errdefs::Kind;

pub(crate) fn attach_before_start_hears_everything() {
    with(async |house: House| {
        let script = "i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done";
        let id = house.create(script, HostConfig::default()).await;
        let mut first = house.attach(&id, false).await;
        let mut second = house.attach(&id, false).await;
        house.start(&id).await;
        let (a, b) = tokio::join!(drain(&mut first), drain(&mut second));
        assert_eq!(a, b);
        let numbered = |name: &str| (0..2000).map(|i| format!("{name}{i}\n")).collect::<String>();
        assert_eq!(a.0, numbered("out"));
        assert_eq!(a.1, numbered("err"));
        house
    });
}

pub(crate) fn input_reaches_the_process_and_ends() {
    with(async |house: House| {
        let config = ContainerConfig { open_stdin: true, stdin_once: true, ..sh("cat; echo end") };
        let id = house.create_with(config, HostConfig::default()).await.unwrap();
        let mut attachment = house.attach(&id, true).await;
        let mut stdin = attachment.stdin.take().unwrap();
        // Before the start, too.
        stdin.write_all(Bytes::from_static(b"one\n")).await.unwrap();
        house.start(&id).await;
        let big = vec![b'x'; 1 << 20];
        let writer = tokio::spawn(async move {
            stdin.write_all(Bytes::from(big)).await.unwrap();
            stdin.close().await;
        });
        let (out, _) = drain(&mut attachment).await;
        writer.await.unwrap();
        assert_eq!(out.len(), 4 + (1 << 20) + 4);
        assert!(out.starts_with("one\n") && out.ends_with("end\n"));
        assert_eq!(house.wait(&id).await.code, 0);
        house
    });
}

pub(crate) fn a_terminal_has_a_size() {
    with(async |house: House| {
        let config = ContainerConfig {
            tty: true,
            open_stdin: true,
            ..sh("stty size; read line; stty size; echo got $line")
        };
        let host = HostConfig { console_size: [24, 80], ..HostConfig::default() };
        let id = house.create_with(config, host).await.unwrap();
        let mut attachment = house.attach(&id, true).await;
        assert!(attachment.tty);
        house.start(&id).await;
        let (_, first) = soon("the first size", attachment.output.next()).await.unwrap();
        assert_eq!(&first[..], b"24 80\r\n");
        house.engine().containers.resize(&id, 50, 132).await.unwrap();
        let mut stdin = attachment.stdin.take().unwrap();
        stdin.write_all(Bytes::from_static(b"hello\n")).await.unwrap();
        let (rest, _) = drain(&mut attachment).await;
        assert!(rest.contains("50 132\r\n") && rest.contains("got hello"), "{rest:?}");
        house
    });
}

pub(crate) fn exec_runs_beside() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let config = ContainerConfig { env: vec!["FROM=container".into()], ..sh("sleep 1000") };
        let id = house.create_with(config, HostConfig::default()).await.unwrap();
        house.start(&id).await;
        let request = |script: &str| ExecRequest {
            cmd: vec!["sh".into(), "-c".into(), script.into()],
            attach_stdout: true,
            attach_stderr: true,
            ..ExecRequest::default()
        };
        let exec = containers
            .exec_create(
                &id,
                ExecRequest {
                    env: vec!["OWN=exec".into()],
                    user: "bob".into(),
                    working_dir: "/data".into(),
                    ..request("echo $FROM $OWN; id -u; cat seed; echo err >&2; exit 4")
                },
            )
            .await
            .unwrap();
        let mut attachment = soon("the exec", containers.exec_start(&exec, ExecStart::default()))
            .await
            .unwrap()
            .unwrap();
        let (out, err) = drain(&mut attachment).await;
        assert_eq!(
            (out.as_str(), err.as_str()),
            ("container exec\n1000\nfrom the image\n", "err\n")
        );
        let ended = async {
            loop {
                let view = containers.exec_inspect(&exec).await.unwrap();
                if !view.running {
                    return view.exit_code;
                }
                tokio::task::yield_now().await;
            }
        };
        assert_eq!(soon("the code", ended).await, Some(4));

        let cat = containers
            .exec_create(&id, ExecRequest { attach_stdin: true, ..request("cat") })
            .await
            .unwrap();
        let mut attachment =
            containers.exec_start(&cat, ExecStart::default()).await.unwrap().unwrap();
        let mut stdin = attachment.stdin.take().unwrap();
        stdin.write_all(Bytes::from_static(b"echo")).await.unwrap();
        stdin.close().await;
        assert_eq!(drain(&mut attachment).await.0, "echo");

        let missing = containers
            .exec_create(&id, ExecRequest { cmd: vec!["nope".into()], ..request("") })
            .await
            .unwrap();
        let fault = containers.exec_start(&missing, ExecStart::default()).await.unwrap_err();
        assert_eq!(fault.kind(), Kind::CommandNotFound);
        assert!(fault.message().contains("executable file not found"), "{fault:?}");

        let options = StopOptions { timeout: Some(0), signal: None };
        containers.stop(&id, options).await.unwrap();
        let late = containers.exec_create(&id, request("true")).await.unwrap_err();
        assert_eq!(late.kind(), Kind::Conflict);
        house
    });
}

pub(crate) fn logs_are_followed() {
    with(async |house: House| {
        let containers = &house.engine().containers;
        let script = "echo one; while [ ! -e /go ]; do sleep 0.01; done; echo two";
        let id = house.create(script, HostConfig::default()).await;
        house.start(&id).await;
        let options = LogOptions { stdout: true, follow: true, ..LogOptions::default() };
        let mut logs = containers.logs(&id, options).await.unwrap();
        let first = soon("one", logs.next()).await.unwrap().unwrap();
        assert_eq!(&first.bytes[..], b"one\n");
        let pid = containers.inspect(&id, false).await.unwrap().state.pid;
        std::fs::File::create(format!("/proc/{pid}/root/go")).unwrap();
        let second = soon("two", logs.next()).await.unwrap().unwrap();
        assert_eq!(&second.bytes[..], b"two\n");
        assert!(second.time > first.time);
        assert!(soon("the end", logs.next()).await.is_none());

        let tail = LogOptions { stdout: true, tail: Tail::Last(1), ..LogOptions::default() };
        let mut logs = containers.logs(&id, tail).await.unwrap();
        assert_eq!(&logs.next().await.unwrap().unwrap().bytes[..], b"two\n");
        assert!(logs.next().await.is_none());
        house
    });
}

pub(crate) fn export_is_the_whole_root() {
    with(async |house: House| {
        let script = "echo new > /data/new; rm /data/seed";
        let (code, _) = house.run(script, HostConfig::default()).await;
        assert_eq!(code, 0);
        let containers = &house.engine().containers;
        let rows = containers
            .list(&naru_engine::ListFilter { all: true, ..Default::default() })
            .await
            .unwrap();
        let mut stream = containers.export(&rows[0].id).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = soon("the archive", stream.next()).await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(has(b"bin/busybox") && has(b"data/new"));
        assert!(!has(b"data/seed") && !has(b".wh."));
        house
    });
}
