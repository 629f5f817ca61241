"""What docker's library for Python does with networks, volumes, mounts, ports and links, each checked in our own words.

The argument is the socket; the image is `box`. Every function is a check, and cleans up after itself.
"""
import io
import os
import sys
import tarfile
import tempfile

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool, Mount

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto")
api = client.api
COMMAND = ["sleep", "600"]


def refused(status, call, *args, **kwargs):
    """The call is answered with one of these codes; says with which text."""
    try:
        call(*args, **kwargs)
    except APIError as error:
        assert error.response.status_code in status, (error, status)
        return str(error)
    raise AssertionError("not refused: %s %s %s" % (call.__name__, args, kwargs))


def box(name=None, command=COMMAND, start=True, endpoints=None, mode=None, mac=None, ports=None, **host):
    """A container; `endpoints` are places in networks, `mode` is the network mode."""
    config = api.create_networking_config(endpoints) if endpoints else None
    made = api.create_container("box", command, name=name, networking_config=config, mac_address=mac, ports=ports,
                                host_config=api.create_host_config(network_mode=mode, **host))
    if start:
        api.start(made)
    return made["Id"]


def gone(*containers):
    for container in containers:
        api.remove_container(container, force=True, v=True)


def place(container, network):
    return api.inspect_container(container)["NetworkSettings"]["Networks"][network]


def inside(container, *words):
    code, output = client.containers.get(container).exec_run(list(words))
    assert code == 0, (words, code, output)
    return output.decode()


def said(container):
    assert api.wait(container)["StatusCode"] == 0, api.logs(container)
    return api.logs(container).decode()


def networks_are_made_listed_and_removed():
    lan = client.networks.create("py-lan", labels={"a": "b"}, driver="bridge", check_duplicate=True)
    assert lan.name == "py-lan" and lan.attrs["Driver"] == "bridge", lan.attrs
    assert lan.attrs["Labels"] == {"a": "b"} and lan.attrs["Scope"] == "local", lan.attrs
    assert lan.attrs["IPAM"]["Driver"] == "default" and not lan.attrs["Internal"], lan.attrs
    assert lan.id in [n.id for n in client.networks.list()]
    assert [n.id for n in client.networks.list(names=["py-lan"])] == [lan.id]
    assert [n.id for n in client.networks.list(ids=[lan.id[:12]], greedy=True)] == [lan.id]
    assert [n.id for n in client.networks.list(filters={"label": "a=b"})] == [lan.id]
    assert [n.id for n in client.networks.list(filters={"driver": "bridge", "type": "custom"})] == [lan.id]
    assert client.networks.list(names=["nowhere"]) == [] and client.networks.list(ids=["f00"]) == []
    assert api.inspect_network(lan.id, verbose=True, scope="local")["Id"] == lan.id
    refused([409], client.networks.create, "py-lan", check_duplicate=True)
    refused([403], api.create_network, "py-host", driver="host")
    lan.remove()
    refused([404], client.networks.get, lan.id)
    assert lan.id not in [n.id for n in client.networks.list()]
    kept = client.networks.create("py-kept", labels={"kept": "yes"})
    client.networks.create("py-old")
    assert client.networks.prune(filters={"label!": ["kept"]})["NetworksDeleted"] == ["py-old"]
    kept.remove()


def a_name_may_have_spaces_within():
    made = api.create_network("py net 01")
    assert api.inspect_network("py net 01")["Id"] == made["Id"]
    container = box(mode="py net 01")
    assert list(api.inspect_network("py net 01")["Containers"]) == [container]
    gone(container)
    assert api.remove_network("py net 01") is None


def clusters_are_refused_by_name():
    assert "swarm" in refused([503], api.init_swarm, "127.0.0.1")
    assert api.leave_swarm(force=True)
    refused([501], api.create_network, "py-far", driver="overlay", attachable=True)
    refused([501], api.create_network, "py-far", scope="swarm")


def subnets_are_as_asked():
    pool = {"subnet": "172.31.78.0/24", "iprange": "172.31.78.128/25", "gateway": "172.31.78.1"}
    pools = [IPAMPool(aux_addresses={"router": "172.31.78.5"}, **pool)]
    made = api.create_network("py-pool", ipam=IPAMConfig(driver="default", pool_configs=pools), internal=True,
                              options={"com.docker.network.driver.mtu": "1400"}, attachable=True)
    net = api.inspect_network(made["Id"])
    assert net["IPAM"].get("Options") is None
    assert net["IPAM"]["Config"] == [{"Subnet": "172.31.78.0/24", "IPRange": "172.31.78.128/25",
                                      "Gateway": "172.31.78.1", "AuxiliaryAddresses": {"router": "172.31.78.5"}}], net
    assert net["Internal"] and net["Attachable"] and not net["EnableIPv6"], net
    assert net["Options"] == {"com.docker.network.driver.mtu": "1400"}, net
    fixed = api.create_endpoint_config(aliases=["one", "two"], ipv4_address="172.31.78.140")
    container = box(mode="py-pool", endpoints={"py-pool": fixed})
    end = place(container, "py-pool")
    assert end["IPAMConfig"] == {"IPv4Address": "172.31.78.140"} and end["IPAddress"] == "172.31.78.140", end
    assert {"one", "two"} <= set(end["Aliases"]), end
    assert "172.31.78.140/24" in inside(container, "ip", "address", "show", "eth0")
    assert "mtu 1400" in inside(container, "ip", "link", "show", "eth0")
    assert "has active endpoints" in refused([403], api.remove_network, "py-pool")
    gone(container)
    api.remove_network("py-pool")


def both_families_can_be_fixed():
    pools = [IPAMPool(subnet="172.31.79.0/24"), IPAMPool(subnet="2001:db8:79::/64", gateway="2001:db8:79::ffff")]
    net = client.networks.create("py-dual", enable_ipv6=True, ipam=IPAMConfig(pool_configs=pools))
    assert net.attrs["EnableIPv6"] is True
    container = box(mode="py-dual", endpoints={"py-dual": api.create_endpoint_config(ipv6_address="2001:db8:79::f00d")})
    assert place(container, "py-dual")["IPAMConfig"] == {"IPv6Address": "2001:db8:79::f00d"}
    assert "2001:db8:79::f00d/64" in inside(container, "ip", "address", "show", "eth0")
    net.disconnect(container)
    net.connect(container, ipv4_address="172.31.79.24", ipv6_address="2001:db8:79::beef")
    end = place(container, "py-dual")
    assert end["IPAMConfig"] == {"IPv4Address": "172.31.79.24", "IPv6Address": "2001:db8:79::beef"}, end
    assert (end["IPAddress"], end["GlobalIPv6Address"]) == ("172.31.79.24", "2001:db8:79::beef"), end
    assert end["IPv6Gateway"] == "2001:db8:79::ffff", end
    gone(container)
    net.remove()


def containers_come_and_go():
    lan = client.networks.create("py-two", enable_ipv6=False)
    container = box()
    assert not api.inspect_network(lan.id)["Containers"]
    lan.connect(container, aliases=["late", "later"])
    assert list(api.inspect_network(lan.id)["Containers"]) == [container]
    lan.reload()
    assert [one.id for one in lan.containers] == [container]
    assert set(api.inspect_container(container)["NetworkSettings"]["Networks"]) == {"bridge", "py-two"}
    assert {"late", "later"} <= set(place(container, "py-two")["Aliases"])
    refused([403, 409], lan.connect, container)
    lan.disconnect(container)
    refused([403], lan.disconnect, container)
    lan.connect(container)
    lan.disconnect(container, force=True)
    refused([403], lan.disconnect, container, force=True)
    assert not api.inspect_network(lan.id)["Containers"]
    assert set(api.inspect_container(container)["NetworkSettings"]["Networks"]) == {"bridge"}
    gone(container)
    # The same before it starts.
    container = box(start=False)
    lan.connect(container)
    lan.reload()
    assert lan.containers == []
    api.start(container)
    assert [one.id for one in client.networks.get(lan.id).containers] == [container]
    gone(container)
    container = box(mode="py-two")
    assert list(api.inspect_network(lan.id)["Containers"]) == [container]
    lan.disconnect(container)
    assert not api.inspect_network(lan.id)["Containers"]
    gone(container)
    lan.remove()


def what_means_nothing_is_kept_and_said():
    lan = client.networks.create("py-opt")
    for name, mode in (("bridge", "bridge"), ("py-opt", "py-opt")):
        asked = api.create_endpoint_config(driver_opt={"com.example.setting": "on"})
        made = api.create_container("box", COMMAND, host_config=api.create_host_config(network_mode=mode),
                                    networking_config=api.create_networking_config({name: asked}))
        assert any("com.example.setting" in warning for warning in made["Warnings"]), made
        api.start(made)
        assert place(made["Id"], name)["DriverOpts"] == {"com.example.setting": "on"}
        gone(made["Id"])
    asked = api.create_endpoint_config(driver_opt={"com.docker.network.endpoint.ifname": "lan7"})
    container = box(mode="py-opt", endpoints={"py-opt": asked})
    assert "lan7" in inside(container, "ip", "link")
    gone(container)
    asked = api.create_endpoint_config(driver_opt={"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.x=1"})
    refused([501], box, mode="py-opt", endpoints={"py-opt": asked})
    lan.remove()


def link_local_addresses_are_on_the_interface():
    asked = api.create_endpoint_config(link_local_ips=["169.254.8.8", "fe80::8:8"])
    container = box(mode="bridge", endpoints={"bridge": asked})
    assert place(container, "bridge")["IPAMConfig"] == {"LinkLocalIPs": ["169.254.8.8", "fe80::8:8"]}
    shown = inside(container, "ip", "address", "show", "eth0")
    assert "169.254.8.8/16" in shown and "fe80::8:8/64" in shown, shown
    gone(container)
    refused([400], box, mode="bridge",
            endpoints={"bridge": api.create_endpoint_config(link_local_ips=["192.0.2.1"])})


def hardware_addresses_can_be_fixed():
    mac = "02:42:ac:11:99:0a"
    container = box(mac=mac, start=False)
    assert api.inspect_container(container)["Config"]["MacAddress"] == mac
    # Clients that know their networks only later leave the first one and come back.
    api.disconnect_container_from_network(container, "bridge")
    api.connect_container_to_network(container, "bridge")
    api.start(container)
    found = api.inspect_container(container)
    assert found["NetworkSettings"]["MacAddress"] == mac and found["Config"]["MacAddress"] == mac, found
    assert inside(container, "cat", "/sys/class/net/eth0/address").strip() == mac
    gone(container)
    lan = client.networks.create("py-mac")
    container = box(start=False)
    # The library of Debian cannot say it yet.
    asked = {"Container": container, "EndpointConfig": {"MacAddress": "02:42:ac:11:99:0b"}}
    api._raise_for_status(api._post_json(api._url("/networks/{0}/connect", lan.id), data=asked))
    assert place(container, "py-mac")["MacAddress"] == "02:42:ac:11:99:0b"
    api.start(container)
    assert place(container, "py-mac")["MacAddress"] == "02:42:ac:11:99:0b"
    gone(container)
    refused([400], box, mac="not:a:mac")
    lan.remove()


def links_of_a_network_may_be_there_first():
    lan = client.networks.create("py-links")
    asked = api.create_endpoint_config(links=[("py-upstream", "entry")])
    first = box(mode="py-links", endpoints={"py-links": asked})
    assert place(first, "py-links")["Links"] == ["py-upstream:entry"]
    second = box(mode="py-links")
    lan.disconnect(second)
    lan.connect(second, links=[("py-upstream", "late-entry")])
    assert place(second, "py-links")["Links"] == ["py-upstream:late-entry"]
    upstream = box("py-upstream", mode="py-links")
    for container, name in ((first, "entry"), (second, "late-entry")):
        assert "1 packets received" in inside(container, "ping", "-c", "1", "-W", "5", name)
    gone(first, second, upstream)
    lan.remove()


def links_of_the_default_network_tell_of_each_other():
    made = api.create_container("box", COMMAND, name="py-first", environment={"FOO": "1"}, ports=[80])
    api.start(made)
    first = made["Id"]
    second = box("py-second", links={"py-first": "my-entry"})
    env = inside(second, "env").splitlines()
    address = place(first, "bridge")["IPAddress"]
    for line in ("MY_ENTRY_NAME=/py-second/my-entry", "MY_ENTRY_ENV_FOO=1", "MY_ENTRY_PORT=tcp://%s:80" % address,
                 "MY_ENTRY_PORT_80_TCP_ADDR=" + address):
        assert line in env, (line, env)
    assert "my-entry" in inside(second, "cat", "/etc/hosts")
    refused([404], api.remove_container, "py-second/nosuch", link=True)
    api.remove_container("py-second/my-entry", link=True)
    assert "my-entry" not in inside(second, "cat", "/etc/hosts")
    assert not api.inspect_container(second)["HostConfig"]["Links"]
    left = {one["Id"] for one in api.containers(all=True)}
    assert {first, second} <= left
    gone(second, first)


def ports_are_where_they_were_asked_for():
    bindings = {1111: ("127.0.0.1", 24567), 2222: ("127.0.0.1", None), "3333/udp": ("127.0.0.1", 0), 4444: None,
                5555: [21234, 21235]}
    container = box(ports=[1111, 2222, (3333, "udp"), 4444, 5555], port_bindings=bindings,
                    extra_hosts={"a": "192.0.2.1"}, dns=["192.0.2.53"], dns_search=["x.example"])
    found = api.inspect_container(container)["NetworkSettings"]["Ports"]
    assert found["1111/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "24567"}], found
    assert api.port(container, 1111) == found["1111/tcp"]
    assert found["2222/tcp"][0]["HostIp"] == "127.0.0.1" and int(found["2222/tcp"][0]["HostPort"]) > 0, found
    assert int(found["3333/udp"][0]["HostPort"]) > 0 and int(found["4444/tcp"][0]["HostPort"]) > 0, found
    assert {one["HostPort"] for one in found["5555/tcp"]} == {"21234", "21235"}, found
    assert set(client.containers.get(container).ports) == set(found)
    shown = [p for p in api.containers(filters={"id": container})[0]["Ports"] if p["PrivatePort"] == 1111]
    assert shown[0]["IP"] == "127.0.0.1" and shown[0]["Type"] == "tcp" and shown[0]["PublicPort"] == 24567, shown
    gone(container)


def what_is_open_to_all_is_said():
    def warnings(port_bindings):
        made = api.create_container("box", COMMAND, ports=[80],
                                    host_config=api.create_host_config(port_bindings=port_bindings))
        gone(made["Id"])
        return made["Warnings"] or []
    assert any("every address of the host" in line for line in warnings({80: 28080}))
    assert warnings({80: ("127.0.0.1", 28080)}) == []


def statistics_tell_of_networks():
    container = box()
    assert "eth0" in api.stats(container, stream=False)["networks"]
    gone(container)


def volumes_are_made_listed_and_removed():
    kept = client.volumes.create(name="py-vol", driver="local", labels={"k": "v"})
    assert kept.name == "py-vol" and kept.attrs["Labels"] == {"k": "v"} and kept.attrs["Driver"] == "local", kept.attrs
    assert api.inspect_volume("py-vol") == kept.attrs and kept.attrs in api.volumes()["Volumes"]
    assert client.volumes.get("py-vol") == kept and kept in client.volumes.list()
    assert kept in client.volumes.list(filters={"name": "py-"}) and client.volumes.list(filters={"name": "no"}) == []
    refused([400, 404], api.create_volume, "py-odd", "no-such-driver")
    container = client.containers.run("box", ["sh", "-c", "echo hi > /d/f"], detach=True,
                                      volumes={"py-vol": {"bind": "/d", "mode": "rw"}})
    assert container.wait()["StatusCode"] == 0
    again = client.containers.run("box", ["cat", "/d/f"], volumes=["py-vol:/d"], remove=True)
    assert again == b"hi\n", again
    refused([409], kept.remove)
    container.remove()
    kept.remove(force=True)
    refused([404], client.volumes.get, "py-vol")
    refused([404], api.inspect_volume, "py-vol")
    refused([404], api.remove_volume, "py-vol")
    nameless = api.create_volume()["Name"]
    assert nameless in api.prune_volumes()["VolumesDeleted"]


def drivers_of_volumes_are_asked_only_for_volumes():
    made = api.create_container("box", COMMAND, host_config=api.create_host_config(volume_driver="odd"))
    assert api.inspect_container(made)["HostConfig"]["VolumeDriver"] == "odd"
    gone(made["Id"])
    refused([400], api.create_container, "box", COMMAND,
            host_config=api.create_host_config(volume_driver="odd", binds=["py-odd:/d"]))


def mounts_are_as_asked():
    def mount_of(container, rw, propagation=None):
        found = [m for m in api.inspect_container(container)["Mounts"] if m["Destination"] == "/mnt"]
        assert len(found) == 1 and found[0]["RW"] is rw, found
        assert propagation is None or found[0]["Propagation"] == propagation, found
        return found[0]
    with tempfile.TemporaryDirectory() as source:
        for rw, propagation in ((True, None), (False, None), (True, "rshared"), (False, "rshared")):
            mode = ",".join(filter(None, ["rw" if rw else "ro", propagation]))
            container = box(command=["sh", "-c", "touch /mnt/shared || true; ls /mnt"], mode="none",
                            binds=["%s:/mnt:%s" % (source, mode)])
            assert "shared" in said(container)
            assert mount_of(container, rw, propagation or "rprivate")["Source"] == source
            gone(container)
        for read_only in (False, True):
            mount = Mount(type="bind", source=source, target="/mnt", read_only=read_only)
            container = box(command=["ls", "/mnt"], mounts=[mount])
            assert "shared" in said(container)
            mount_of(container, not read_only)
            gone(container)
    mount = Mount(type="volume", source="py-mounted", target="/mnt", labels={"com.example.x": "y"})
    container = box(command=["sh", "-c", "mkdir /mnt/sub && echo deep > /mnt/sub/file"], mounts=[mount])
    said(container)
    assert mount_of(container, True)["Name"] == "py-mounted"
    assert api.inspect_volume("py-mounted")["Labels"] == {"com.example.x": "y"}
    heir = box(command=["cat", "/mnt/sub/file"], volumes_from=[container], mode="none")
    assert said(heir) == "deep\n" and len(api.inspect_container(heir)["HostConfig"]["VolumesFrom"]) == 1
    part = Mount(type="volume", source="py-mounted", target="/mnt", read_only=True)
    part["VolumeOptions"] = {"Subpath": "sub"}
    other = box(command=["cat", "/mnt/file"], mounts=[part])
    assert said(other) == "deep\n"
    gone(heir, other, container)
    api.remove_volume("py-mounted")


def archives_go_in_and_out():
    container = box(command=["sh", "-c", "echo text > /word"])
    said(container)
    pieces, stat = api.get_archive(container, "/word")
    assert stat["name"] == "word" and stat["size"] == 5, stat
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        assert tar.extractfile("word").read() == b"text\n"
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, content in (("dir/one", b"1"), ("two", b"22")):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    assert api.put_archive(container, "/tmp", data.getvalue())
    for path, content in (("dir/one", b"1"), ("two", b"22")):
        pieces, _ = api.get_archive(container, "/tmp/" + path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            assert tar.extractfile(os.path.basename(path)).read() == content
    gone(container)


def networks_are_named_when_containers_are_made():
    lan = client.networks.create("py-run")
    made = client.containers.run("box", ["true"], network="py-run", detach=True)
    assert list(made.attrs["NetworkSettings"]["Networks"]) == ["py-run"]
    gone(made.id)
    ends = {"py-run": api.create_endpoint_config(aliases=["hello"], driver_opt={"key1": "a"})}
    made = box(mode="py-run", endpoints=ends, command=["true"])
    end = place(made, "py-run")
    assert end["Aliases"][0] == "hello" and end["DriverOpts"] == {"key1": "a"}, end
    gone(made)
    ends["nowhere"] = api.create_endpoint_config(aliases=["there"])
    refused([400], box, mode="py-run", endpoints=ends)
    lan.remove()


CHECKS = [
    networks_are_made_listed_and_removed,
    a_name_may_have_spaces_within,
    clusters_are_refused_by_name,
    subnets_are_as_asked,
    both_families_can_be_fixed,
    containers_come_and_go,
    what_means_nothing_is_kept_and_said,
    link_local_addresses_are_on_the_interface,
    hardware_addresses_can_be_fixed,
    links_of_a_network_may_be_there_first,
    links_of_the_default_network_tell_of_each_other,
    ports_are_where_they_were_asked_for,
    what_is_open_to_all_is_said,
    statistics_tell_of_networks,
    volumes_are_made_listed_and_removed,
    drivers_of_volumes_are_asked_only_for_volumes,
    mounts_are_as_asked,
    archives_go_in_and_out,
    networks_are_named_when_containers_are_made,
]
for check in CHECKS:
    check()
    print(check.__name__, flush=True)
print("all is well")
