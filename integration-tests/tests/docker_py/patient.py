"""Four of the library's tests read what a process has written while it may still be about to write it: they start a container and
ask for its logs at once. They are about the build before it, so here they wait for the end of the process first."""
import docker
import pytest


@pytest.fixture(autouse=True)
def patient(request, monkeypatch):
    if "_context_" not in request.node.name:
        return
    logs = docker.APIClient.logs

    def after_the_end(self, container, *args, **kwargs):
        self.wait(container, timeout=60)
        return logs(self, container, *args, **kwargs)

    monkeypatch.setattr(docker.APIClient, "logs", after_the_end)
