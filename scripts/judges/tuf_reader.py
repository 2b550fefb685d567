"""python-tuf's client on a repository of ours: it follows the roots, finds what both roles list, and refuses what was changed."""

import functools
import http.server
import pathlib
import shutil
import sys
import tempfile
import threading

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater

repository = pathlib.Path(sys.argv[1])
LISTED = {
    "acme/shop/1.0/statement.json": b'{"version":"1.0"}\n',
    "acme/bank/2.0/statement é.json": b'{"version":"2.0"}\n',
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


handler = functools.partial(Quiet, directory=repository)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_address[1]}"


def updater(folder):
    root = (repository / "trusted-root.json").read_bytes()
    return Updater(folder, f"{base}/metadata/", folder, f"{base}/targets/", bootstrap=root)


def refused(what):
    with tempfile.TemporaryDirectory() as folder:
        try:
            client = updater(folder)
            client.refresh()
            for path in LISTED:
                client.download_target(client.get_targetinfo(path))
        except (RepositoryError, DownloadError):
            return
    sys.exit(f"{what} was accepted")


with tempfile.TemporaryDirectory() as folder:
    client = updater(folder)
    client.refresh()
    for path, content in LISTED.items():
        info = client.get_targetinfo(path)
        assert info is not None, path
        assert info.custom == {"version": path}, info.custom
        assert pathlib.Path(client.download_target(info)).read_bytes() == content, path
    assert client.get_targetinfo("acme/bank/2.0/other") is None
    root = Metadata.from_file(f"{folder}/root.json")
    assert root.signed.version == 2 and root.signed.consistent_snapshot
    targets = Metadata.from_file(f"{folder}/targets.json").signed
    assert targets.version == 2 and targets.delegations.roles["acme.bank"].terminating

for file in ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.acme.bank.json"]:
    place = repository / "metadata" / file
    kept = place.read_bytes()
    place.write_bytes(kept.replace(b"20", b"21", 1) if file == "timestamp.json" else kept.replace(b'"version": ', b'"version": 1'))
    refused(file)
    place.write_bytes(kept)
for place in repository.glob("targets/*/*/*/*"):
    kept = place.read_bytes()
    place.write_bytes(kept.replace(b"version", b"Version"))
    refused(place.name)
    place.write_bytes(kept)
shutil.rmtree(repository)
