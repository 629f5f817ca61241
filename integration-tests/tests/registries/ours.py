"""Docker's library for Python: pull, push, login and what a registry holds."""

import sys

import docker
from docker.errors import APIError, NotFound

socket, registry = sys.argv[1:]
client = docker.DockerClient(base_url=f"unix://{socket}", version="auto", timeout=60)
api = client.api
alice = {"username": "alice", "password": "secret"}
name = f"{registry}/py/box"


def refused(kind, work):
    try:
        work()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


error = refused(APIError, lambda: client.login("alice", "wrong", registry=registry, reauth=True))
assert error.status_code == 401, error
assert client.login("alice", "secret", registry=registry, reauth=True)["Status"] == "Login Succeeded"

client.images.get("box").tag(name, "1")
client.images.get("box").tag(name, "2")
lines = list(api.push(name, "1", stream=True, decode=True, auth_config=alice))
assert lines[0]["status"] == f"The push refers to repository [{name}]", lines
assert not [line for line in lines if "error" in line], lines
aux = [line["aux"] for line in lines if "aux" in line]
assert len(aux) == 1 and aux[0]["Tag"] == "1" and aux[0]["Digest"].startswith("sha256:"), lines
assert all("progressDetail" in line for line in lines if "id" in line), lines
assert aux[0]["Size"] > 0
list(api.push(name, "2", stream=True, decode=True, auth_config=alice))
lines = list(api.push(name, "1", stream=True, decode=True, auth_config={"username": "x", "password": "y"}))
assert "error" in lines[-1] and lines[-1]["errorDetail"]["message"] == lines[-1]["error"], lines

data = api.inspect_distribution(f"{name}:1", auth_config=alice)
assert data["Descriptor"]["digest"] == aux[0]["Digest"], data
assert data["Platforms"] == [{"architecture": data["Platforms"][0]["architecture"], "os": "linux"}], data
assert client.images.get_registry_data(f"{name}:1", auth_config=alice).id == aux[0]["Digest"]
refused(NotFound, lambda: api.inspect_distribution(f"{name}:none", auth_config=alice))

for tag in ["1", "2"]:
    client.images.remove(f"{name}:{tag}")
image = client.images.pull(name, tag="1", auth_config=alice)
assert image.tags == [f"{name}:1"] or f"{name}:1" in image.tags, image.tags
assert image.attrs["RepoDigests"] == [f"{name}@{aux[0]['Digest']}"], image.attrs["RepoDigests"]
lines = list(api.pull(name, tag="1", stream=True, decode=True, auth_config=alice))
assert lines[0] == {"status": "Pulling from py/box", "id": "1"}, lines
assert lines[-1]["status"] == f"Status: Image is up to date for {name}:1", lines
images = client.images.pull(name, all_tags=True, auth_config=alice)
assert len(images) == 1 and {f"{name}:1", f"{name}:2"} <= set(images[0].tags), images
client.images.pull(name, tag=aux[0]["Digest"], auth_config=alice)
refused(NotFound, lambda: client.images.pull(name, tag="none", auth_config=alice))
error = refused(APIError, lambda: client.images.pull(name, tag="1", auth_config={"username": "x", "password": "y"}))
error = refused(APIError, lambda: client.images.pull("Bad Name"))
assert error.status_code == 400, error
print("all is well")
