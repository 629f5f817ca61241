"""What oras does with a registry: artifacts.py REGISTRY USER PASSWORD AUTHORITY, in a directory of its own."""

import hashlib
import json
import os
import sys
import time

import oras.auth.utils
import oras.client
import oras.oci
import requests

registry, user, password, authority = sys.argv[1:]


# The library tries what is refused again and again, with long waits.
time.sleep = lambda seconds: None


def client(word):
    made = oras.client.OrasClient(hostname=registry, tls_verify=authority, auth_backend=backend)
    if word:
        made.login(username=user, password=word, hostname=registry, tls_verify=authority)
    return made


def digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.sha256(file.read()).hexdigest()


def refused(act):
    try:
        act()
    except Exception:
        return
    raise AssertionError("that should not be let in")


# How the registry wants to be asked, which this library must be told.
challenge = requests.get(f"https://{registry}/v2/", verify=authority, timeout=30)
assert challenge.status_code == 401, challenge.status_code
backend = challenge.headers["www-authenticate"].split(" ")[0].lower().replace("bearer", "token")

name = f"{registry}/by/oras"
with open("notes.txt", "w") as file:
    file.write("some notes\n")
with open("data.bin", "wb") as file:
    file.write(os.urandom(3_000_000))
with open("bill.json", "w") as file:
    json.dump({"packages": []}, file)
with open("kind.json", "w") as file:
    json.dump({}, file)

refused(lambda: client(None).push(target=f"{name}:artifact", files=["notes.txt"]))
refused(lambda: client("wrong").push(target=f"{name}:artifact", files=["notes.txt"]))

mine = client(password)
if backend == "token":
    # The library keeps its first token, which was for looking only, until it is answered 403; so it gets one for everything.
    asked = oras.auth.utils.parse_auth_header(challenge.headers["www-authenticate"])
    asked.scope = "repository:by/oras:pull,push,delete"
    mine.auth.set_basic_auth(user, password)
    mine.auth.token = mine.auth.request_token(asked)
    assert mine.auth.token
pushed = mine.push(
    target=f"{name}:artifact",
    files=["notes.txt:text/plain", "data.bin"],
    manifest_annotations={"made.by": "oras"},
)
assert pushed.status_code == 201, pushed.status_code
subject_digest = pushed.headers["docker-content-digest"]
assert subject_digest == "sha256:" + hashlib.sha256(pushed.request.body).hexdigest()

# In pieces, whose layer is the same one.
mine.push(target=f"{name}:pieces", files=["data.bin"], do_chunked=True, chunk_size=700_000)

# Back again, by tag and by digest.
for target in [f"{name}:artifact", f"{name}@{subject_digest}"]:
    files = mine.pull(target=target, outdir="back")
    assert sorted(map(os.path.basename, files)) == ["data.bin", "notes.txt"], files
    for file in ["data.bin", "notes.txt"]:
        assert digest(f"back/{file}") == digest(file), file
        os.remove(f"back/{file}")
manifest = mine.get_manifest(f"{name}:artifact")
assert manifest["annotations"] == {"made.by": "oras"}, manifest
assert manifest["layers"][0]["digest"] == digest("notes.txt"), manifest
pieces = mine.get_manifest(f"{name}:pieces")
assert pieces["layers"][0]["digest"] == digest("data.bin"), pieces

# Attached to the first.
subject = oras.oci.Subject(
    mediaType="application/vnd.oci.image.manifest.v1+json",
    digest=subject_digest,
    size=len(pushed.request.body),
)
attached = mine.push(
    target=f"{name}:bill",
    files=["bill.json:application/json"],
    manifest_config="kind.json:application/vnd.example.config+json",
    manifest_annotations={"kind": "bill"},
    subject=subject,
)
assert attached.status_code == 201, attached.status_code
assert attached.headers["oci-subject"] == subject_digest, attached.headers

# An image, which is an artifact like others.
image = mine.push(
    target=f"{name}:image",
    files=["layer.tar:application/vnd.oci.image.layer.v1.tar"],
    manifest_config="config.json:application/vnd.oci.image.config.v1+json",
)
assert image.status_code == 201, image.status_code

assert sorted(mine.get_tags(name)) == ["artifact", "bill", "image", "pieces"]
assert mine.delete_tags(name, ["pieces"]) == ["pieces"]
assert sorted(mine.get_tags(name)) == ["artifact", "bill", "image"]

print(json.dumps({"subject": subject_digest, "attached": attached.headers["docker-content-digest"]}))
print("all is well")
