//! FROM, ARG and ONBUILD.

use crate::sentence::{Sentence, says};
use serde_json::json;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// "FROM".
pub fn from() -> Vec<Sentence> {
    vec![
        says(
            "FROM clears what earlier instructions made",
            "FROM box AS a\nENV A=b\nLABEL l=m\nRUN touch /x\nFROM box\nENV C=d\n",
        )
        .default("Env", json!([PATH, "C=d"]))
        .default("Labels", json!(null))
        .lacks("x"),
        says(
            "a name means the stage in FROM, COPY and mounts",
            "FROM box AS one\nRUN echo 1 > /1\nFROM one AS two\nRUN --mount=type=bind,from=one,target=/o cat /o/1 /1 > /2\n\
             FROM scratch\nCOPY --from=two /2 /\nCOPY --from=one /1 /\n",
        )
        .file("1", "1\n")
        .file("2", "1\n1\n"),
        says("a name of a stage has any case", "FROM box AS One\nRUN echo 1 > /1\nFROM oNe\nRUN cat /1 > /2\n")
            .newer()
            .file("2", "1\n"),
        says("the tag is latest unless it is said", "FROM box:latest AS a\nFROM box\nENV A=b\n")
            .history(&["(no layer) ENV A=b"]),
        says("a tag that is not there is an error", "FROM localhost:1/box:nope\n").fails("nope"),
        says(
            "a digest that is not there is an error",
            "FROM localhost:1/box@sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
        )
        .fails("sha256:0000"),
        says("an ARG may be the platform", "ARG P=$BUILDPLATFORM\nFROM --platform=$P box\nENV A=b\n")
            .history(&["(no layer) ENV A=b"]),
        says("the platform may be the host's", "FROM --platform=$BUILDPLATFORM box\nRUN echo x > /x\n")
            .file("x", "x\n"),
        says("the platform must be one", "FROM --platform=a/b/c/d/e box\n").fails("a/b/c/d/e"),
        says(
            "ARG before FROM serves FROM",
            "ARG  VERSION=latest\nFROM box:${VERSION} AS one\nFROM one\nENV A=b\n",
        )
        .history(&["(no layer) ENV A=b"]),
        says("ARG before FROM is outside of every stage", "ARG V=1\nFROM box\nRUN echo \"[$V]\" > /x\n")
            .file("x", "[]\n"),
        says("ARG without a value takes it in", "ARG V=1\nFROM box\nARG V\nRUN echo \"[$V]\" > /x\n")
            .file("x", "[1]\n"),
        says("stages that nothing needs are not built", "FROM box\nRUN false\nFROM box\nENV A=b\n")
            .history(&["(no layer) ENV A=b"]),
        says("a stage may not come from a later one", "FROM box\nCOPY --from=later /x /\nFROM box AS later\nRUN touch /x\n")
            .flags(&["--target", "0"])
            .fails("needs to be defined before"),
        says("nothing is in scratch", "FROM scratch\nCOPY a /\n").with("a", "a").file("a", "a").lacks("dev"),
    ]
}

/// "ARG".
pub fn arg() -> Vec<Sentence> {
    vec![
        says("ARG takes what the build gives", "FROM box\nARG A\nRUN echo \"$A\" > /x\n")
            .flags(&["--build-arg", "A=given"])
            .file("x", "given\n")
            .history(&["(no layer) ARG A=given", "RUN |1 A=given /bin/sh -c echo \"$A\" > /x # buildkit"]),
        says("ARG serves later instructions", "FROM box\nARG D=/d\nWORKDIR $D\nENV E=${D}e\nCOPY a .\n")
            .with("a", "a")
            .file("d/a", "a")
            .default("Env", json!([PATH, "E=/de"])),
        says("ARG is not in the image", "FROM box\nARG A=1\nRUN echo $A > /x\n")
            .default("Env", json!([PATH]))
            .runs(&["sh", "-c", "echo [$A]"], "[]\n"),
        says("a file has several ARGs", "FROM box\nARG A=1\nARG B\nRUN echo $A$B > /x\n")
            .flags(&["--build-arg", "B=2"])
            .file("x", "12\n"),
        says("one ARG declares several", "FROM box\nARG A=1 B C=3\nRUN echo $A$B$C > /x\n")
            .newer()
            .flags(&["--build-arg", "B=2"])
            .file("x", "123\n")
            .history(&[
                "(no layer) ARG A=1 B=2 C=3",
                "RUN |3 A=1 B=2 C=3 /bin/sh -c echo $A$B$C > /x # buildkit",
            ]),
        says("the default is used when nothing is given", "FROM box\nARG A=d\nARG B=d\nRUN echo $A$B > /x\n")
            .flags(&["--build-arg", "B=g"])
            .file("x", "dg\n"),
        says(
            "ARG counts from its line on",
            "FROM box\nUSER ${username:-some_user}\nENV A=[$username]\nARG username\nUSER $username\nENV B=$username\n",
        )
        .flags(&["--build-arg", "username=what_user"])
        .default("User", json!("what_user"))
        .default("Env", json!([PATH, "A=[]", "B=what_user"]))
        .history(&[
            "(no layer) USER some_user",
            "(no layer) ENV A=[]",
            "(no layer) ARG username=what_user",
            "(no layer) USER what_user",
            "(no layer) ENV B=what_user",
        ]),
        says(
            "a stage inherits ARG from the stage it is based on",
            "FROM box AS one\nARG A=1\nFROM one\nRUN echo \"[$A]\" > /x\n",
        )
        // Its history does not tell of the one below; that of later BuildKits does.
.but(&["history"])
            .file("x", "[1]\n"),
        says("another stage does not", "FROM box AS one\nARG A=1\nFROM box\nRUN echo \"[$A]\" > /x\nCOPY --from=one /etc/group /g\n")
            .file("x", "[]\n"),
        says("ENV goes before ARG", "FROM box\nARG V\nENV V=v1.0.0\nRUN echo $V > /x\n")
            .flags(&["--build-arg", "V=v2.0.1"])
            .file("x", "v1.0.0\n"),
        says("ENV keeps what ARG got", "FROM box\nARG V\nENV V=${V:-v1.0.0}\n")
            .flags(&["--build-arg", "V=v2.0.1"])
            .default("Env", json!([PATH, "V=v2.0.1"])),
        says("ENV keeps a default where ARG got nothing", "FROM box\nARG V\nENV V=${V:-v1.0.0}\n")
            .default("Env", json!([PATH, "V=v1.0.0"])),
        says("proxies need no ARG and leave no trace", "FROM box\nRUN echo $HTTP_PROXY $no_proxy > /x\n")
            .flags(&["--build-arg", "HTTP_PROXY=http://u:p@h", "--build-arg", "no_proxy=n"])
            .file("x", "http://u:p@h n\n")
            .default("Env", json!([PATH]))
            .history(&["RUN /bin/sh -c echo $HTTP_PROXY $no_proxy > /x # buildkit"]),
        says(
            "every proxy's variable is predefined",
            "FROM box\nRUN env | grep -i _proxy | sort > /x\n",
        )
        .newer()
        .flags(&["--build-arg", "HTTP_PROXY=1", "--build-arg", "http_proxy=2", "--build-arg", "HTTPS_PROXY=3"])
        .flags(&["--build-arg", "https_proxy=4", "--build-arg", "FTP_PROXY=5", "--build-arg", "ftp_proxy=6"])
        .flags(&["--build-arg", "NO_PROXY=7", "--build-arg", "no_proxy=8", "--build-arg", "ALL_PROXY=9"])
        .flags(&["--build-arg", "all_proxy=10"])
        .file(
            "x",
            "ALL_PROXY=9\nFTP_PROXY=5\nHTTPS_PROXY=3\nHTTP_PROXY=1\nNO_PROXY=7\nall_proxy=10\nftp_proxy=6\nhttp_proxy=2\nhttps_proxy=4\nno_proxy=8\n",
        )
        .history(&["RUN /bin/sh -c env | grep -i _proxy | sort > /x # buildkit"]),
        says("a proxy with ARG is in the history", "FROM box\nARG HTTP_PROXY\nRUN echo $HTTP_PROXY > /x\n")
            .flags(&["--build-arg", "HTTP_PROXY=http://h"])
            .file("x", "http://h\n")
            .history(&["RUN |1 HTTP_PROXY=http://h /bin/sh -c echo $HTTP_PROXY > /x # buildkit"]),
        says(
            "platforms are known before FROM",
            "FROM --platform=$TARGETPLATFORM box AS s-$TARGETOS\nFROM s-linux\nENV A=b\n",
        )
        .newer()
        .fails("s-$TARGETOS"),
        says("platforms are not known inside a stage", "FROM box\nRUN echo \"[$TARGETPLATFORM$BUILDARCH]\" > /x\n")
            .file("x", "[]\n"),
        says(
            "platforms are known inside with ARG",
            "FROM box\nARG TARGETPLATFORM\nARG TARGETOS\nARG TARGETARCH\nARG TARGETVARIANT\nARG BUILDPLATFORM\nARG BUILDOS\nARG BUILDARCH\nARG BUILDVARIANT\n\
             RUN test -n \"$TARGETPLATFORM\" -a \"$BUILDOS\" = linux && env | grep -E '^(TARGET|BUILD)' | sort > /x\n",
        ),
        says(
            "the target is what the build asks for",
            "FROM scratch\nARG TARGETPLATFORM\nARG TARGETOS TARGETARCH\nARG TARGETVARIANT\nENV P=$TARGETPLATFORM\nCOPY a /$TARGETOS-$TARGETARCH-$TARGETVARIANT\n",
        )
        .newer()
        .with("a", "a")
        .flags(&["--platform", "linux/arm/v7"])
        .file("linux-arm-v7", "a")
        .default("architecture", json!("arm"))
        .default("Env", json!([PATH, "P=linux/arm/v7"])),
        says("an ARG inside may have another default than the platform", "FROM box\nARG TARGETARCH=mine\nRUN echo $TARGETARCH > /x\n")
            .file("x", "mine\n"),
        says("SOURCE_DATE_EPOCH is the time of the image", "FROM box\nENV A=b\n")
            .newer()
            .flags(&["--build-arg", "SOURCE_DATE_EPOCH=1500000000"])
            .created("2017-07-14T02:40:00Z"),
        says("SOURCE_DATE_EPOCH is a number", "FROM box\n")
            .newer()
            .flags(&["--build-arg", "SOURCE_DATE_EPOCH=today"])
            .fails("SOURCE_DATE_EPOCH"),
        says("SOURCE_DATE_EPOCH is the time of what is made", "FROM box\nRUN echo x > /x\n")
            .newer()
            .flags(&["--build-arg", "SOURCE_DATE_EPOCH=1500000000"])
            .time("x", 1_500_000_000),
        says("the host of RUN has a name", "FROM box\nRUN hostname > /x\n").file("x", "buildkitsandbox\n"),
        says("BUILDKIT_SANDBOX_HOSTNAME names the host of RUN", "FROM box\nRUN hostname > /x\n")
            .newer()
            .flags(&["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=mine"])
            .file("x", "mine\n"),
        says("BUILDKIT_INLINE_CACHE puts what the cache knows into the image", "FROM box\nRUN echo x > /x\n")
            .flags(&["--build-arg", "BUILDKIT_INLINE_CACHE=1"])
            .member("naru.buildcache.v1", true),
        says("without BUILDKIT_INLINE_CACHE it stays outside", "FROM box\nRUN echo x > /x\n").member("naru.buildcache.v1", false),
        says("arguments of other builders are said to change nothing", "FROM box\nENV A=b\n")
            .newer()
            .flags(&["--build-arg", "BUILDKIT_BUILD_NAME=n", "--build-arg", "BUILDKIT_MULTI_PLATFORM=1"])
            .shows("the build argument BUILDKIT_BUILD_NAME changes nothing here")
            .shows("the build argument BUILDKIT_MULTI_PLATFORM changes nothing here"),
        says(
            "BUILDKIT_CACHE_MOUNT_NS keeps caches apart",
            "FROM box\nRUN --mount=type=cache,id=ns,target=/c ls /c > /x\n",
        )
        .newer()
        .after("FROM box\nRUN --mount=type=cache,id=ns,target=/c touch /c/there\n")
        .flags(&["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=other"])
        .file("x", ""),
    ]
}

/// "ONBUILD".
pub fn onbuild() -> Vec<Sentence> {
    vec![
        says("ONBUILD does nothing in its own build", "FROM box\nONBUILD RUN touch /t\nENV A=b\n")
            .default("OnBuild", json!(["RUN touch /t"]))
            .lacks("t"),
        says("triggers run after FROM, in order", "FROM BEFORE\nRUN echo 3 >> /x\n")
            .after("FROM box\nONBUILD RUN echo 1 > /x\nONBUILD RUN echo 2 >> /x\n")
            .file("x", "1\n2\n3\n"),
        says("triggers see the context of the build that runs them", "FROM BEFORE\n")
            .after("FROM box\nONBUILD ADD . /app/src\nONBUILD RUN cat /app/src/f > /x\n")
            .with("f", "file\n")
            .file("x", "file\n"),
        says("triggers are gone when they were carried out", "FROM BEFORE\nENV A=b\n")
            .after("FROM box\nONBUILD RUN touch /t\n")
            .default("OnBuild", json!(null))
            .holds("t", "644"),
        says("grandchildren do not inherit triggers", "FROM BEFORE\nENV A=b\n")
            .after("FROM box\nONBUILD RUN echo t >> /t\n")
            .after("FROM BEFORE\n")
            .file("t", "t\n"),
        says("triggers of a stage run in the stage based on it", "FROM box AS one\nONBUILD RUN echo t >> /t\nFROM one\nENV A=b\n")
            .file("t", "t\n")
            .default("OnBuild", json!(null)),
        says("a trigger that fails aborts FROM", "FROM BEFORE\nRUN true\n")
            .after("FROM box\nONBUILD RUN exit 3\n")
            .fails("returned a non-zero code: 3"),
        says("a trigger copies and mounts from stages", "FROM box AS build\nRUN echo app > /app\nFROM BEFORE\n")
            .newer()
            .after("FROM box\nONBUILD COPY --from=build /app /app\nONBUILD RUN --mount=from=build,target=/b cat /b/app > /x\n")
            .file("app", "app\n")
            .file("x", "app\n"),
        says("the stage must be in the file that triggers", "FROM BEFORE\n")
            .newer()
            .after("FROM box\nONBUILD COPY --from=localhost:1/nope /app /app\n")
            .fails("nope"),
        says("a trigger copies and mounts from a context of the build that runs it", "FROM BEFORE\n")
            .newer()
            .after("FROM box\nONBUILD COPY --from=conf f /f\nONBUILD RUN --mount=from=conf,target=/c cp /c/f /g\n")
            .with("own/f", "f")
            .flags(&["--build-context", "conf=own"])
            .file("f", "f")
            .file("g", "f"),
        says("ONBUILD ONBUILD is not allowed", "FROM box\nONBUILD ONBUILD RUN true\n").fails("ONBUILD"),
        says("ONBUILD FROM is not allowed", "FROM box\nONBUILD FROM box\n").fails("FROM isn't allowed"),
        says("ONBUILD MAINTAINER is not allowed", "FROM box\nONBUILD MAINTAINER me\n")
            .fails("MAINTAINER isn't allowed"),
    ]
}
