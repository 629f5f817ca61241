//! RUN: what it leaves, and what it sees.

use crate::sentence::{Sentence, says};

/// "RUN", `--network`, `--security`, `--device`.
pub fn run() -> Vec<Sentence> {
    vec![
        says("RUN makes a layer that the next step sees", "FROM box\nRUN echo a > /x\nRUN cat /x /x > /y\n")
            .file("y", "a\na\n")
            .layers(2)
            .history(&["RUN /bin/sh -c echo a > /x # buildkit", "RUN /bin/sh -c cat /x /x > /y # buildkit"]),
        says("RUN in exec form runs the program itself", "FROM box\nRUN [\"mkdir\", \"-m\", \"700\", \"/a b\"]\n")
            .holds("a b", "700 0:0 /")
            .history(&["RUN mkdir -m 700 /a b # buildkit"]),
        says("a RUN that fails fails the build", "FROM box\nRUN exit 7\n").fails("returned a non-zero code: 7"),
        says(
            "RUN removes and replaces what is below",
            "FROM box\nRUN mkdir -p /d/e && touch /d/a /d/e/b\nRUN rm -r /d/e && mkdir /d/e && touch /d/e/c && rm /d/a && ln -s e /d/l && mknod /d/p p\n",
        )
        .lacks("d/a")
        .lacks("d/e/b")
        .holds("d/l", "777 0:0 -> e"),
        says(
            "owners, modes and links of RUN stay",
            "FROM box\nRUN touch /f && chown 12:34 /f && chmod 4750 /f && ln /f /g && mkdir -m 1777 /t\n",
        )
        .holds("f", "4750 12:34 \"\"")
        .holds("g", "4750 12:34 \"\"")
        .holds("t", "1777 0:0 /"),
        says("an unknown flag of RUN is refused", "FROM box\nRUN --nope=x true\n").fails("unknown flag"),
        says("the default network is what the build has", "FROM box\nRUN --network=default ls /sys/class/net > /x\n")
            .newer()
            .file("x", "lo\n"),
        says("the network none has only lo", "FROM box\nRUN --network=none ls /sys/class/net > /x && ping -c 1 127.0.0.1\n")
            .newer()
            .file("x", "lo\n"),
        says("the network host has to be allowed", "FROM box\nRUN --network=host true\n")
            .newer()
            .fails("network.host is not allowed"),
        says("the network host is the host's", "FROM box\nRUN --network=host readlink /proc/self/ns/net > /x\n")
            .newer()
            .flags(&["--allow", "network.host"])
            .holds("x", "644 0:0 \"net:["),
        says("an unknown network is refused", "FROM box\nRUN --network=some true\n").newer().fails("some"),
        says(
            "the sandbox is the default",
            "FROM box\nRUN --security=sandbox grep CapEff /proc/self/status > /x\nRUN grep CapEff /proc/self/status | cmp - /x || diff /x /x\nRUN ! mount -t tmpfs t /tmp\n",
        )
        .newer()
        .holds("x", "644 0:0 \"CapEff:\\t00000000a80425fb"),
        says("insecure has to be allowed", "FROM box\nRUN --security=insecure true\n")
            .newer()
            .fails("security.insecure is not allowed"),
        says("insecure has all capabilities", "FROM box\nRUN --security=insecure mount -t tmpfs t /tmp && umount /tmp && echo ok > /x\n")
            .newer()
            .flags(&["--allow", "security.insecure"])
            .file("x", "ok\n"),
        says("a device that cannot be given is refused by name", "FROM box\nRUN --device=vendor1.com/device=foo true\n")
            .newer()
            .fails("--device=vendor1.com/device=foo"),
    ]
}

/// Two stages, `a` and `b`, that do the same side by side; what each leaves at its name is the result.
fn two(mounts: &str, command: &str) -> String {
    let stage = |me: &str, other: &str| {
        let command = command.replace("ME", me).replace("OTHER", other);
        format!("FROM box AS {me}\nRUN {mounts} {command}\n")
    };
    format!(
        "{}{}FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
        stage("a", "b"),
        stage("b", "a")
    )
}

/// "RUN --mount".
pub fn mounts() -> Vec<Sentence> {
    vec![
        says("a mount is a bind unless it says otherwise", "FROM box\nRUN --mount=target=/c cat /c/a > /x\n")
            .with("a", "a")
            .file("x", "a")
            .lacks("c/a"),
        says("an unknown type is refused", "FROM box\nRUN --mount=type=nope,target=/c true\n").fails("nope"),
        says("an unknown option is refused", "FROM box\nRUN --mount=type=bind,nope=1,target=/c true\n").fails("nope"),
        says("a bind needs its target", "FROM box\nRUN --mount=type=bind true\n").fails("target"),
        says("target, dst and destination are the same", "FROM box\nRUN --mount=dst=/c --mount=destination=/d cat /c/a /d/a > /x\n")
            .with("a", "a")
            .file("x", "aa"),
        says("a bind cannot be written to", "FROM box\nRUN --mount=target=/c ! touch /c/b && ! touch /c/a\n").with("a", "a"),
        says("a bind shows one source", "FROM box\nRUN --mount=source=d/a,target=/c --mount=source=d,target=/e cat /c /e/a > /x\n")
            .with("d/a", "a")
            .file("x", "aa"),
        says("a source that is not there is an error", "FROM box\nRUN --mount=source=nope,target=/c true\n").fails("nope"),
        says("a bind shows another stage", "FROM box AS one\nRUN echo 1 > /1\nFROM box\nRUN --mount=from=one,source=/1,target=/c cat /c > /x\n")
            .file("x", "1\n"),
        says("a bind shows an image", "FROM scratch AS s\nCOPY a /\nFROM box\nRUN --mount=from=box,source=/etc,target=/c grep -c root /c/group > /x\n")
            .with("a", "")
            .file("x", "1\n"),
        says(
            "what is written to a bind with rw is thrown away",
            "FROM box\nRUN --mount=target=/c,rw echo b > /c/a && cat /c/a > /x\nRUN --mount=target=/c cat /c/a > /y\n",
        )
        .with("a", "a")
        .file("x", "b\n")
        .file("y", "a"),
        says("a relative target is below the working directory", "FROM box\nWORKDIR /w\nRUN --mount=target=c cat /w/c/a > /x\n")
            .with("a", "a")
            .file("x", "a"),
        says("variables are replaced in a mount", "FROM box\nARG T=/c\nENV S=a\nRUN --mount=source=$S,target=$T cat /c > /x\n")
            .newer()
            .with("a", "a")
            .file("x", "a"),
        says(
            "a cache is kept from step to step and is in no layer",
            "FROM box\nRUN --mount=type=cache,target=/c touch /c/there\nRUN --mount=type=cache,target=/c ls /c > /x\n",
        )
        .file("x", "there\n")
        .lacks("c/there"),
        says("a cache is kept from build to build", "FROM box\nRUN --mount=type=cache,id=kept,target=/c ls /c > /x\n")
            .after("FROM box\nRUN --mount=type=cache,id=kept,target=/c touch /c/there\n")
            .file("x", "there\n"),
        says(
            "a cache is known by its ID, which is its target",
            "FROM box\nRUN --mount=type=cache,target=/k touch /k/there\nRUN --mount=type=cache,target=/o,id=/k ls /o > /x\nRUN --mount=type=cache,target=/p ls /p > /y\n",
        )
        .file("x", "there\n")
        .file("y", ""),
        says("a cache is read-only on request", "FROM box\nRUN --mount=type=cache,target=/c,ro ! touch /c/a\n"),
        says("sharing is shared, private or locked", "FROM box\nRUN --mount=type=cache,target=/c,sharing=any true\n").fails("any"),
        says(
            "a private cache is alone",
            "FROM box\nRUN --mount=type=cache,target=/c,id=p,sharing=private --mount=type=cache,target=/d,id=q,sharing=locked touch /c/a /d/b && ls /c /d > /x\n",
        ),
        // Each writer waits until the other one is there, in the shared cache; so there is one, too.
        says("a private cache with two writers is two, a shared one is one", &two(
            "--mount=type=cache,id=h,target=/h --mount=type=cache,id=two,target=/c,sharing=private",
            "touch /c/ME /h/ME && timeout 60 sh -c 'until test -e /h/OTHER; do usleep 10000; done' && ls /c > /ME",
        ))
            .file("a", "a\n")
            .file("b", "b\n"),
        says("a locked cache has one writer at a time", &two(
            "--mount=type=cache,id=locked,target=/c,sharing=locked",
            "test ! -e /c/busy && touch /c/busy && usleep 300000 && rm /c/busy && touch /ME",
        ))
            .file("a", "")
            .file("b", ""),
        says(
            "a cache starts from another stage",
            "FROM box AS one\nRUN mkdir -p /s/d && touch /s/d/a\nFROM box\nRUN --mount=type=cache,target=/c,from=one,source=/s/d,id=from ls /c > /x\n",
        )
        .file("x", "a\n"),
        says(
            "a new cache is 755 of root",
            "FROM box\nRUN --mount=type=cache,target=/c,id=m1 stat -c '%a %u %g' /c > /x\n",
        )
        .file("x", "755 0 0\n"),
        says(
            "mode, uid and gid are those of a new cache",
            "FROM box\nRUN --mount=type=cache,target=/c,id=m2,mode=0700,uid=5,gid=6 stat -c '%a %u %g' /c > /x\n",
        )
        .file("x", "700 5 6\n"),
        says("a tmpfs is memory", "FROM box\nRUN --mount=type=tmpfs,target=/t grep -c ' /t tmpfs ' /proc/mounts > /x && touch /t/a\n")
            .file("x", "1\n")
            .lacks("t/a"),
        says(
            "size bounds a tmpfs",
            "FROM box\nRUN --mount=type=tmpfs,target=/t,size=1m ! dd if=/dev/zero of=/t/x bs=1M count=2 && dd if=/dev/zero of=/t/y bs=1k count=10; ls -l /t/x | awk '{print $5}' > /x\n",
        )
        .newer(),
        says("a secret is a file of root below /run/secrets", "FROM box\nRUN --mount=type=secret,id=s cat /run/secrets/s > /x && stat -c '%a %u %g' /run/secrets/s >> /x\n")
            .with("s.txt", "tell\n")
            .flags(&["--secret", "id=s,src=s.txt"])
            .file("x", "tell\n400 0 0\n")
            .lacks("run/secrets/s"),
        says("the ID of a secret is the name of its target", "FROM box\nRUN --mount=type=secret,target=/a/s cat /a/s > /x\n")
            .with("s.txt", "tell\n")
            .flags(&["--secret", "id=s,src=s.txt"])
            .file("x", "tell\n"),
        says(
            "mode, uid and gid are those of a secret",
            "FROM box\nRUN --mount=type=secret,id=s,target=/a,mode=0444,uid=5,gid=6 stat -c '%a %u %g' /a > /x\n",
        )
        .with("s.txt", "tell\n")
        .flags(&["--secret", "id=s,src=s.txt"])
        .file("x", "444 5 6\n"),
        says(
            "a secret is a variable, or both",
            "FROM box\nRUN --mount=type=secret,id=s,env=V test ! -e /run/secrets/s && echo $V > /x\nRUN --mount=type=secret,id=s,env=V,target=/a cat /a > /y && echo $V >> /y\n",
        )
        .newer()
        .with("s.txt", "tell")
        .flags(&["--secret", "id=s,src=s.txt"])
        .file("x", "tell\n")
        .file("y", "telltell\n"),
        says("a secret is a variable of whoever builds", "FROM box\nRUN --mount=type=secret,id=PATH,env=P test -n \"$P\" -a ! -e /run/secrets/PATH\n")
            .newer()
            .flags(&["--secret", "id=PATH"]),
        says("a secret that is not given is left out", "FROM box\nRUN --mount=type=secret,id=s test ! -e /run/secrets/s\n"),
        says("a secret that is required must be given", "FROM box\nRUN --mount=type=secret,id=s,required=true true\n")
            .fails("s: not found"),
        says("required alone means required", "FROM box\nRUN --mount=type=secret,id=s,required true\n").fails("s: not found"),
        says("an agent that is not given is left out", "FROM box\nRUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"\n").newer(),
        says("an agent that is required must be given", "FROM box\nRUN --mount=type=ssh,required=true true\n")
            .fails("default"),
        says("nothing of a mount stays in the image", "FROM box\nRUN --mount=target=/c --mount=type=cache,target=/k --mount=type=tmpfs,target=/t --mount=type=secret,id=s,target=/s true\n")
            .with("s.txt", "tell")
            .flags(&["--secret", "id=s,src=s.txt"])
            .lacks("c/s.txt")
            .lacks("s"),
    ]
}
