//! What instructions say of containers: CMD, LABEL, MAINTAINER, EXPOSE, ENV, ENTRYPOINT, VOLUME, USER, WORKDIR, STOPSIGNAL,
//! HEALTHCHECK, SHELL.

use crate::sentence::{Sentence, says};
use serde_json::json;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// "CMD" and "ENTRYPOINT".
pub fn commands() -> Vec<Sentence> {
    let exec = "ENTRYPOINT [\"echo\", \"entry\"]";
    let shell = "ENTRYPOINT echo entry";
    vec![
        says("CMD is what a container runs", "FROM box\nCMD [\"echo\", \"hi\"]\n")
            .default("Cmd", json!(["echo", "hi"]))
            .history(&["(no layer) CMD [\"echo\" \"hi\"]"])
            .runs(&[], "hi\n"),
        says("CMD in shell form runs a shell", "FROM box\nENV A=b\nCMD echo $A\n")
            .default("Cmd", json!(["/bin/sh", "-c", "echo $A"]))
            .runs(&[], "b\n"),
        says("only the last CMD counts", "FROM box\nCMD [\"a\"]\nCMD [\"echo\", \"b\"]\n")
            .default("Cmd", json!(["echo", "b"])),
        says("CMD runs nothing while it is built", "FROM box\nCMD touch /x\n").lacks("x").layers(0),
        says(
            "arguments go before CMD and after ENTRYPOINT",
            &format!("FROM box\n{exec}\nCMD [\"d\"]\n"),
        )
        .runs(&["x", "-d"], "entry x -d\n"),
        says("neither ENTRYPOINT nor CMD: nothing to run", "FROM scratch\nCOPY a /\n")
            .with("a", "")
            .runs(&[], "error: No command specified\nhint: name a command after the image; the image has none of its own\n"),
        says("a shell ENTRYPOINT is no PID 1", "FROM box\nENTRYPOINT sh -c 'echo $PPID'; true\n")
            .runs(&[], "1\n"),
        says("with exec it is", "FROM box\nENTRYPOINT exec sh -c 'echo $$'\n").runs(&[], "1\n"),
        says("a shell CMD without ENTRYPOINT", "FROM box\nCMD echo c p\n").runs(&[], "c p\n"),
        says("neither: the base's CMD stays", "FROM box\nENV A=b\n").default("Cmd", json!(["sh"])),
        says("an exec ENTRYPOINT without CMD", &format!("FROM box\n{exec}\n")).runs(&[], "entry\n"),
        says(
            "an exec ENTRYPOINT and an exec CMD",
            &format!("FROM box\n{exec}\nCMD [\"c\", \"p\"]\n"),
        )
        .runs(&[], "entry c p\n"),
        says("an exec ENTRYPOINT and a shell CMD", &format!("FROM box\n{exec}\nCMD c p\n"))
            .runs(&[], "entry /bin/sh -c c p\n"),
        says("a shell ENTRYPOINT without CMD", &format!("FROM box\n{shell}\n"))
            .runs(&[], "entry\n"),
        says(
            "a shell ENTRYPOINT ignores CMD and arguments",
            &format!("FROM box\n{shell}\nCMD [\"c\"]\n"),
        )
        .default("Entrypoint", json!(["/bin/sh", "-c", "echo entry"]))
        .runs(&["x"], "entry\n"),
        says(
            "only the last ENTRYPOINT counts",
            "FROM box\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"echo\", \"b\"]\n",
        )
        .default("Entrypoint", json!(["echo", "b"])),
        says("ENTRYPOINT forgets the base's CMD", "FROM box\nENTRYPOINT [\"echo\"]\n")
            .default("Cmd", json!(null)),
        says(
            "ENTRYPOINT forgets the CMD of the stage below",
            "FROM box AS one\nCMD [\"c\"]\nFROM one\nENTRYPOINT [\"echo\"]\n",
        )
        .default("Cmd", json!(null)),
        says(
            "ENTRYPOINT keeps the CMD of its own stage",
            "FROM box\nCMD [\"c\"]\nENTRYPOINT [\"echo\"]\n",
        )
        .default("Cmd", json!(["c"])),
        says(
            "an empty ENTRYPOINT takes the base's away",
            "FROM BEFORE\nENTRYPOINT []\nCMD [\"echo\", \"x\"]\n",
        )
        .after("FROM box\nENTRYPOINT [\"a\"]\n")
        .default("Entrypoint", json!(null))
        .runs(&[], "x\n"),
    ]
}

/// "LABEL", "MAINTAINER", "EXPOSE", "ENV".
pub fn metadata() -> Vec<Sentence> {
    vec![
        says(
            "LABEL takes quotes and continuations",
            "FROM box\nLABEL \"com.example.vendor\"=\"ACME Incorporated\"\nLABEL com.example.label-with-value=\"foo\"\nLABEL version=\"1.0\"\nLABEL description=\"This text \\\nspans lines.\" e=a\\ b\n",
        )
        .default(
            "Labels",
            json!({"com.example.vendor": "ACME Incorporated", "com.example.label-with-value": "foo",
                "version": "1.0", "description": "This text spans lines.", "e": "a b"}),
        )
        .history(&[
            "(no layer) LABEL com.example.vendor=ACME Incorporated",
            "(no layer) LABEL com.example.label-with-value=foo",
            "(no layer) LABEL version=1.0",
            "(no layer) LABEL description=This text spans lines. e=a b",
        ]),
        says("one LABEL has several", "FROM box\nLABEL a=1 b=\"2\" \\\n c='3'\n")
            .default("Labels", json!({"a": "1", "b": "2", "c": "3"})),
        says("single quotes keep variables", "FROM box\nENV V=x\nLABEL a='foo-$V' b=\"foo-$V\"\n")
            .default("Labels", json!({"a": "foo-$V", "b": "foo-x"})),
        says("labels are inherited and overridden", "FROM BEFORE\nLABEL b=new\n")
            .after("FROM box\nLABEL a=1 b=old\n")
            .default("Labels", json!({"a": "1", "b": "new"})),
        says(
            "labels come from stages below, and from no others",
            "FROM box AS below\nLABEL a=1\nFROM box AS other\nLABEL o=1\nRUN touch /f\nFROM below\nCOPY --from=other /f /f\nRUN --mount=from=other,target=/o touch /g\n",
        )
        .default("Labels", json!({"a": "1"})),
        says("a label of the command line is in the image", "FROM box\nLABEL a=1\n")
            .flags(&["--label", "b=2"])
            .default("Labels", json!({"a": "1", "b": "2"})),
        says("MAINTAINER is the author", "FROM box\nMAINTAINER Jo <jo@x>\nENV A=b\n")
            .author("Jo <jo@x>")
            .history(&["(no layer) MAINTAINER Jo <jo@x>", "(no layer) ENV A=b"]),
        says("EXPOSE means TCP unless it says UDP", "FROM box\nEXPOSE 80 53/udp\n")
            .default("ExposedPorts", json!({"80/tcp": {}, "53/udp": {}}))
            .history(&["(no layer) EXPOSE map[53/udp:{} 80/tcp:{}]"]),
        says("EXPOSE exposes on both", "FROM box\nEXPOSE 80/tcp\nEXPOSE 80/udp\n")
            .default("ExposedPorts", json!({"80/tcp": {}, "80/udp": {}})),
        says("EXPOSE takes ranges", "FROM box\nEXPOSE 8000-8002 90/sctp\n")
            .default("ExposedPorts", json!({"8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}, "90/sctp": {}})),
        says("EXPOSE adds to the base's", "FROM BEFORE\nEXPOSE 2\n")
            .after("FROM box\nEXPOSE 1\n")
            .default("ExposedPorts", json!({"1/tcp": {}, "2/tcp": {}})),
        says("EXPOSE of nonsense is refused", "FROM box\nEXPOSE 99999\n").fails("99999"),
        says("ENV takes quotes and backslashes", "FROM box\nENV MY_NAME=\"John Doe\"\nENV MY_DOG=Rex\\ The\\ Dog\nENV MY_CAT=fluffy\nENV Q=\\\"q\\\"\n")
            .default("Env", json!([PATH, "MY_NAME=John Doe", "MY_DOG=Rex The Dog", "MY_CAT=fluffy", "Q=\"q\""]))
            .runs(&["sh", "-c", "echo $MY_DOG $MY_NAME"], "Rex The Dog John Doe\n"),
        says("one ENV sets several", "FROM box\nENV A=\"x y\" B=z\\ z \\\n    C=c\n")
            .default("Env", json!([PATH, "A=x y", "B=z z", "C=c"]))
            .history(&["(no layer) ENV A=x y B=z z C=c"]),
        says("ENV is seen by what follows", "FROM box\nENV A=b\nRUN echo $A > /x\n").file("x", "b\n"),
        says("a stage inherits ENV of those below", "FROM box AS a\nENV A=1\nFROM a AS b\nENV B=$A\nFROM b\nRUN echo $A$B > /x\n")
            .default("Env", json!([PATH, "A=1", "B=1"]))
            .file("x", "11\n"),
        says("a variable of one command is not kept", "FROM box\nRUN A=b sh -c 'echo $A' > /x\n")
            .default("Env", json!([PATH]))
            .file("x", "b\n"),
        says("ENV without = sets one to the rest of the line", "FROM box\nENV ONE TWO= THREE=world\n")
            .default("Env", json!([PATH, "ONE=TWO= THREE=world"])),
        says("ENV overrides PATH", "FROM box\nENV PATH=/bin:$PATH\nRUN echo $PATH > /x\n")
            .file("x", "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"),
        says("ENV without a value is refused", "FROM box\nENV A\n").fails("ENV must have two arguments"),
        says("ENV without a name is refused", "FROM box\nENV =b\n").fails("ENV names can not be blank"),
    ]
}

/// "VOLUME", "USER", "WORKDIR".
pub fn places() -> Vec<Sentence> {
    vec![
        says("VOLUME is a JSON array", "FROM box\nVOLUME [\"/var/log\", \"/d\"]\n")
            .default("Volumes", json!({"/var/log": {}, "/d": {}}))
            .history(&["(no layer) VOLUME [/var/log /d]"]),
        says("VOLUME is a list of words", "FROM box\nVOLUME /var/log /var/db\n")
            .default("Volumes", json!({"/var/log": {}, "/var/db": {}})),
        says("a volume begins with what the image has there", "FROM box\nRUN mkdir /myvol\nRUN echo \"hello world\" > /myvol/greeting\nVOLUME /myvol\n")
            .runs(&["sh", "-c", "cat /myvol/greeting; grep -c ' /myvol ' /proc/mounts"], "hello world\n1\n"),
        says("what is changed after VOLUME is kept", "FROM box\nVOLUME /v\nRUN mkdir -p /v && echo x > /v/x\n")
            .file("v/x", "x\n"),
        says("single quotes make no JSON of VOLUME", "FROM box\nVOLUME ['/v']\n").default("Volumes", json!({"[/v]": {}})),
        says("an empty VOLUME is refused", "FROM box\nVOLUME [\"\"]\n").fails("can not be an empty string"),
        says("USER is the user of RUN and of containers", "FROM box\nRUN chmod 777 /tmp\nUSER user\nRUN id -u > /tmp/x; id -G >> /tmp/x\nCMD id -u\n")
            .default("User", json!("user"))
            .holds("tmp/x", "644 1000:1000 \"1000\\n1000 2000\\n\"")
            .runs(&[], "1000\n"),
        says("a group with USER is the only one", "FROM box\nUSER user:extra\nRUN id -g > /tmp/x; id -G >> /tmp/x\n")
            .default("User", json!("user:extra"))
            .holds("tmp/x", "644 1000:2000 \"2000\\n2000\\n\""),
        says("USER takes numbers", "FROM box\nUSER 12:34\nRUN id -u > /tmp/x; id -g >> /tmp/x\n")
            .holds("tmp/x", "644 12:34 \"12\\n34\\n\""),
        says("a user without a group has root's", "FROM box\nUSER 1234\nRUN id -g > /tmp/x\n")
            .holds("tmp/x", "644 1234:0 \"0\\n\""),
        says("an unknown user cannot run", "FROM box\nUSER nobody-here\nRUN true\n").fails("nobody-here"),
        says("USER holds for the rest of the stage alone", "FROM box AS a\nUSER user\nFROM box\nRUN id -u > /x\n").file("x", "0\n"),
        says("WORKDIR is where RUN, COPY, ADD and CMD are", "FROM box\nWORKDIR /w\nRUN pwd > x\nCOPY a .\nADD b c\nCMD pwd\n")
            .with("a", "a")
            .with("b", "b")
            .file("w/x", "/w\n")
            .file("w/a", "a")
            .file("w/c", "b")
            .runs(&[], "/w\n"),
        says("WORKDIR is made even if nothing uses it", "FROM box\nWORKDIR /a/b\n")
            .holds("a", "755 0:0 /")
            .holds("a/b", "755 0:0 /")
            .history(&["WORKDIR /a/b"]),
        says("a relative WORKDIR is below the one before", "FROM box\nWORKDIR /a\nWORKDIR b\nWORKDIR c\nRUN pwd > /x\n")
            .file("x", "/a/b/c\n")
            .default("WorkingDir", json!("/a/b/c")),
        // The reference's example keeps `$DIRNAME`; no builder does.
        says("WORKDIR replaces variables", "FROM box\nENV DIRPATH=/path\nWORKDIR $DIRPATH/$DIRNAME\nRUN pwd > /x\n").file("x", "/path\n")
            // It leaves the slash where it is.
            .but(&["WorkingDir", "history"]),
        says("WORKDIR is cleaned", "FROM box\nWORKDIR /a/./b//../c/\nRUN pwd > /x\n")
            .default("WorkingDir", json!("/a/c"))
            .file("x", "/a/c\n")
            // It leaves the path as it is written, and makes all of it; later BuildKits clean it.
            .but(&["WorkingDir", "history", "a"]),
        says("a relative WORKDIR without another is below the root", "FROM box\nWORKDIR a\nRUN pwd > /x\n").file("x", "/a\n"),
        says("a relative WORKDIR is below the base's", "FROM BEFORE\nWORKDIR b\nRUN pwd > /x\n")
            .after("FROM box\nWORKDIR /w\n")
            .file("x", "/w/b\n"),
        says("the working directory is / unless the base says", "FROM box\nRUN pwd > x\n").file("x", "/\n"),
        says("the base's working directory is inherited", "FROM BEFORE\nRUN pwd > x\n").after("FROM box\nWORKDIR /w\n").file("w/x", "/w\n"),
        says("WORKDIR that is there stays as it is", "FROM box\nRUN mkdir -m 700 /w && chown 5:6 /w\nWORKDIR /w\n").holds("w", "700 5:6 /").but(&["history", "layers"]),
        says("WORKDIR is made for USER", "FROM box\nUSER user\nWORKDIR /w/x\n").holds("w/x", "755 1000:1000 /"),
    ]
}

/// "STOPSIGNAL", "HEALTHCHECK", "SHELL". The peer knows no interval at the start, and its history has no place for it.
pub fn rest() -> Vec<Sentence> {
    vec![
        says("STOPSIGNAL is a name", "FROM box\nSTOPSIGNAL SIGKILL\n").default("StopSignal", json!("SIGKILL")),
        says("STOPSIGNAL is a number", "FROM box\nSTOPSIGNAL 9\n").default("StopSignal", json!("9")),
        says("without STOPSIGNAL there is none", "FROM box\nENV A=b\n").default("StopSignal", json!(null)),
        says("a signal that is none is refused", "FROM box\nSTOPSIGNAL SIGNOPE\n").fails("SIGNOPE"),
        says("HEALTHCHECK has a command for the shell", "FROM box\nHEALTHCHECK --interval=5m --timeout=3s \\\n  CMD cat / || exit 1\n")
            .default("Healthcheck", json!({"Test": ["CMD-SHELL", "cat / || exit 1"], "Interval": 300_000_000_000_u64, "Timeout": 3_000_000_000_u64}))
            .but(&["history"]),
        says("HEALTHCHECK has a command as it stands", "FROM box\nHEALTHCHECK --start-period=1s --retries=4 CMD [\"a\", \"b\"]\n")
            .default("Healthcheck", json!({"Test": ["CMD", "a", "b"], "StartPeriod": 1_000_000_000_u64, "Retries": 4}))
            .but(&["history"]),
        says("HEALTHCHECK has an interval at the start", "FROM box\nHEALTHCHECK --start-interval=2s CMD a\n")
            .newer()
            .default("Healthcheck", json!({"Test": ["CMD-SHELL", "a"], "StartInterval": 2_000_000_000_u64}))
            .history(&["(no layer) HEALTHCHECK &{[\"CMD-SHELL\" \"a\"] \"0s\" \"0s\" \"0s\" \"2s\" '\\x00'}"]),
        says("what HEALTHCHECK leaves out is the engine's default", "FROM box\nHEALTHCHECK CMD a\n")
            .default("Healthcheck", json!({"Test": ["CMD-SHELL", "a"]}))
            .but(&["history"]),
        says("HEALTHCHECK NONE takes the base's away", "FROM BEFORE\nHEALTHCHECK NONE\n")
            .after("FROM box\nHEALTHCHECK CMD a\n")
            .default("Healthcheck", json!({"Test": ["NONE"]}))
            .but(&["history"]),
        says("only the last HEALTHCHECK counts", "FROM box\nHEALTHCHECK CMD a\nHEALTHCHECK --retries=2 CMD b\n")
            .default("Healthcheck", json!({"Test": ["CMD-SHELL", "b"], "Retries": 2}))
            .but(&["history"]),
        says("an unknown option of HEALTHCHECK is refused", "FROM box\nHEALTHCHECK --often=1s CMD a\n").fails("often"),
        says("a type of check that is none is refused", "FROM box\nHEALTHCHECK TCP 80\n").fails("TCP"),
        says("SHELL is JSON", "FROM box\nSHELL sh -c\n").fails("SHELL requires the arguments to be in JSON form"),
        says("SHELL is the shell of RUN, CMD and ENTRYPOINT", "FROM box\nSHELL [\"/bin/sh\", \"-xc\"]\nRUN echo $- > /x\nENTRYPOINT e\nCMD c\n")
            .holds("x", "644 0:0 \"x")
            .default("Shell", json!(["/bin/sh", "-xc"]))
            .default("Entrypoint", json!(["/bin/sh", "-xc", "e"]))
            .default("Cmd", json!(["/bin/sh", "-xc", "c"]))
            .history(&[
                "(no layer) SHELL [/bin/sh -xc]",
                "RUN /bin/sh -xc echo $- > /x # buildkit",
                "(no layer) ENTRYPOINT [\"/bin/sh\" \"-xc\" \"e\"]",
                "(no layer) CMD [\"/bin/sh\" \"-xc\" \"c\"]",
            ]),
        says("each SHELL overrides the one before", "FROM box\nSHELL [\"a\"]\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN echo x > /x\nSHELL [\"b\", \"-c\"]\nCMD c\n")
            .file("x", "x\n")
            .default("Cmd", json!(["b", "-c", "c"])),
        says("the exec form has nothing to do with SHELL", "FROM box\nSHELL [\"nope\"]\nRUN [\"touch\", \"/x\"]\n").file("x", ""),
    ]
}
