"""What docker's library for Python does with networks and volumes. The first argument is the socket, the others
are the checks to make; the image is `box`."""
import sys

import docker

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
api = client.api
COMMAND = ["sleep", "600"]


def create_list_inspect_remove():
    lan = client.networks.create("py-lan", labels={"a": "b"}, driver="bridge", check_duplicate=True)
    assert lan.name == "py-lan" and lan.attrs["Driver"] == "bridge", lan.attrs
    assert lan.attrs["Labels"] == {"a": "b"} and lan.attrs["Scope"] == "local", lan.attrs
    assert [n.id for n in client.networks.list(names=["py-lan"])] == [lan.id]
    assert [n.id for n in client.networks.list(ids=[lan.id[:12]])] == [lan.id]
    assert [n.id for n in client.networks.list(filters={"label": "a=b"})] == [lan.id]
    assert [n.id for n in client.networks.list(filters={"driver": "bridge", "type": "custom"})] == [lan.id]
    try:
        client.networks.create("py-lan", check_duplicate=True)
        raise AssertionError("a second network of that name")
    except docker.errors.APIError as error:
        assert error.response.status_code == 409, error
    assert api.inspect_network(lan.id, verbose=True, scope="local")["Id"] == lan.id
    lan.remove()
    try:
        client.networks.get(lan.id)
        raise AssertionError("the network is still there")
    except docker.errors.NotFound:
        pass


def pools_and_options():
    pools = [docker.types.IPAMPool(subnet="172.31.78.0/24", iprange="172.31.78.128/25",
                                   gateway="172.31.78.1", aux_addresses={"router": "172.31.78.5"})]
    made = api.create_network("py-pool", ipam=docker.types.IPAMConfig(driver="default", pool_configs=pools),
                              options={"com.docker.network.driver.mtu": "1400"}, internal=True, attachable=True)
    net = api.inspect_network(made["Id"])
    assert net["IPAM"]["Config"] == [{"Subnet": "172.31.78.0/24", "IPRange": "172.31.78.128/25",
                                      "Gateway": "172.31.78.1", "AuxiliaryAddresses": {"router": "172.31.78.5"}}], net
    assert net["Internal"] and net["Attachable"], net
    assert net["Options"] == {"com.docker.network.driver.mtu": "1400"}, net
    config = api.create_networking_config({"py-pool": api.create_endpoint_config(
        aliases=["one", "two"], ipv4_address="172.31.78.140")})
    box = api.create_container("box", COMMAND, host_config=api.create_host_config(network_mode="py-pool"),
                               networking_config=config)
    api.start(box)
    end = api.inspect_container(box)["NetworkSettings"]["Networks"]["py-pool"]
    assert end["IPAMConfig"] == {"IPv4Address": "172.31.78.140"} and end["IPAddress"] == "172.31.78.140", end
    assert {"one", "two"} <= set(end["Aliases"]), end
    assert box["Id"] in api.inspect_network("py-pool")["Containers"]
    try:
        api.remove_network("py-pool")
        raise AssertionError("a network in use was removed")
    except docker.errors.APIError as error:
        assert "has active endpoints" in str(error), error
    api.remove_container(box, force=True)
    api.remove_network("py-pool")


def connect_and_disconnect():
    lan = client.networks.create("py-two", enable_ipv6=False)
    box = client.containers.run("box", COMMAND, detach=True)
    lan.connect(box, aliases=["late"])
    box.reload()
    assert set(box.attrs["NetworkSettings"]["Networks"]) == {"bridge", "py-two"}, box.attrs["NetworkSettings"]
    assert "late" in box.attrs["NetworkSettings"]["Networks"]["py-two"]["Aliases"]
    try:
        lan.connect(box)
        raise AssertionError("connected twice")
    except docker.errors.APIError as error:
        assert error.response.status_code in (403, 409), error
    lan.disconnect(box)
    box.reload()
    assert set(box.attrs["NetworkSettings"]["Networks"]) == {"bridge"}
    box.remove(force=True)
    assert "py-two" in client.networks.prune(filters={"label!": ["kept"]})["NetworksDeleted"]


def ports():
    host = api.create_host_config(port_bindings={1111: ("127.0.0.1", None), "2222/udp": ("127.0.0.1", 0), 3333: None},
                                  extra_hosts={"a": "192.0.2.1"}, dns=["192.0.2.53"], dns_search=["x.example"])
    box = api.create_container("box", COMMAND, ports=[1111, (2222, "udp"), 3333], host_config=host)
    api.start(box)
    found = api.inspect_container(box)["NetworkSettings"]["Ports"]
    assert found["1111/tcp"][0]["HostIp"] == "127.0.0.1" and int(found["1111/tcp"][0]["HostPort"]) > 0, found
    assert api.port(box, 1111) == found["1111/tcp"], found
    assert int(found["2222/udp"][0]["HostPort"]) > 0 and int(found["3333/tcp"][0]["HostPort"]) > 0, found
    shown = [p for p in api.containers(filters={"id": box["Id"]})[0]["Ports"] if p["PrivatePort"] == 1111]
    assert shown[0]["IP"] == "127.0.0.1" and shown[0]["Type"] == "tcp", shown
    api.remove_container(box, force=True)


def links():
    first = client.containers.run("box", COMMAND, detach=True, name="py-first")
    second = client.containers.run("box", COMMAND, detach=True, links={"py-first": "entry"})
    code, hosts = second.exec_run(["cat", "/etc/hosts"])
    assert code == 0 and b"entry" in hosts, hosts
    for box in (second, first):
        box.remove(force=True)


def volumes():
    kept = client.volumes.create(name="py-vol", driver="local", labels={"k": "v"})
    assert kept.name == "py-vol" and kept.attrs["Labels"] == {"k": "v"}, kept.attrs
    assert [v.name for v in client.volumes.list(filters={"name": "py-vol"})] == ["py-vol"]
    box = client.containers.run("box", ["sh", "-c", "echo hi > /d/f"], volumes={"py-vol": {"bind": "/d", "mode": "rw"}},
                                detach=True)
    assert box.wait()["StatusCode"] == 0
    try:
        kept.remove()
        raise AssertionError("a volume in use was removed")
    except docker.errors.APIError as error:
        assert error.response.status_code == 409, error
    box.remove()
    kept.remove(force=True)
    try:
        client.volumes.get("py-vol")
        raise AssertionError("the volume is still there")
    except docker.errors.NotFound:
        pass


for check in sys.argv[2:]:
    globals()[check]()
    print(check, flush=True)
