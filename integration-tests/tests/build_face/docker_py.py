"""What docker's library for Python does with builds, each checked in our own words. The argument is the socket; the image is `box`."""
import gzip
import io
import os
import sys
import tarfile
import tempfile

import docker
from docker.errors import APIError, BuildError

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
api = client.api


def stream(**options):
    """All lines of a build."""
    return list(api.build(decode=True, network_mode="none", **options))


def text(lines):
    return "".join(line.get("stream", "") for line in lines)


def directory(files):
    path = tempfile.mkdtemp()
    for name, content in files.items():
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        with open(os.path.join(path, name), "w") as file:
            file.write(content)
    return path


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def a_file_object_is_a_dockerfile():
    lines = stream(fileobj=io.BytesIO(b"FROM box\nENV A=b\n"), tag="py:one")
    assert "Successfully built " in text(lines) and "Successfully tagged py:one" in text(lines), lines
    assert any("ID" in line.get("aux", {}) for line in lines), lines


def ignore_rules_are_kept():
    path = directory({"Dockerfile": "FROM box\nCOPY . /c\nRUN find /c -type f | sort\n",
                      ".dockerignore": "left\nd/*\n!d/kept\n", "left": "", "d/left": "", "d/kept": ""})
    shown = text(stream(path=path, nocache=True))
    assert "/c/d/kept" in shown and "left" not in shown, shown


def arguments_labels_and_targets():
    dockerfile = b"FROM box AS first\nARG WORD\nRUN echo $WORD > /w\nFROM box\nRUN exit 1\n"
    stream(fileobj=io.BytesIO(dockerfile), tag="py:two", target="first", buildargs={"WORD": "given"}, labels={"a": "b"})
    image = client.images.get("py:two")
    assert image.labels == {"a": "b"}, image.labels
    shown = client.containers.run("py:two", ["cat", "/w"], remove=True, network_mode="none")
    assert shown == b"given\n", shown


def a_failure_has_its_code():
    lines = stream(fileobj=io.BytesIO(b"FROM box\nRUN exit 7\n"))
    assert lines[-1]["errorDetail"]["code"] == 7, lines
    try:
        client.images.build(fileobj=io.BytesIO(b"FROM box\nRUN exit 7\n"), network_mode="none")
    except BuildError as error:
        assert "returned a non-zero code: 7" in str(error)
    else:
        raise AssertionError("it did not fail")


def errors_are_red():
    shown = text(stream(fileobj=io.BytesIO(b"FROM box\nRUN echo wrong >&2\n"), nocache=True))
    assert "\x1b[91mwrong\n\x1b[0m" in shown, shown


def contexts_may_be_compressed():
    plain = archive({"Dockerfile": "FROM box\nCOPY a /a\n", "a": "x"})
    lines = stream(fileobj=io.BytesIO(gzip.compress(plain)), custom_context=True, encoding="gzip")
    assert "Successfully built " in text(lines), lines


def the_dockerfile_may_lie_elsewhere():
    path = directory({"a": "x"})
    other = os.path.join(directory({"other": "FROM box\nCOPY a /a\n"}), "other")
    assert "Successfully built " in text(stream(path=path, dockerfile=other))


def the_cache_is_used_and_can_be_left_alone():
    dockerfile = b"FROM box\nRUN echo cached\n"
    stream(fileobj=io.BytesIO(dockerfile))
    assert "Using cache" in text(stream(fileobj=io.BytesIO(dockerfile)))
    assert "Using cache" not in text(stream(fileobj=io.BytesIO(dockerfile), nocache=True))


def quiet_says_the_id():
    image, lines = client.images.build(fileobj=io.BytesIO(b"FROM box\nENV Q=1\n"), quiet=True)
    assert image.id.startswith("sha256:"), image


def what_is_not_served_is_refused_by_name():
    for options, word in [({"squash": True}, "squash"), ({"isolation": "hyperv"}, "isolation"), ({"network_mode": "container:x"}, "container:x")]:
        try:
            list(api.build(fileobj=io.BytesIO(b"FROM box\n"), decode=True, **options))
        except APIError as error:
            assert word in str(error), error
        else:
            raise AssertionError("%s is not refused" % options)


def the_cache_is_pruned():
    answer = api.prune_builds()
    assert answer["SpaceReclaimed"] >= 0 and "CachesDeleted" in answer, answer


for check in [a_file_object_is_a_dockerfile, ignore_rules_are_kept, arguments_labels_and_targets, a_failure_has_its_code,
              errors_are_red, contexts_may_be_compressed, the_dockerfile_may_lie_elsewhere,
              the_cache_is_used_and_can_be_left_alone, quiet_says_the_id, what_is_not_served_is_refused_by_name,
              the_cache_is_pruned]:
    print(check.__name__, flush=True)
    check()
print("all is well")
