"""Makes one set of issues for the bulletin and for debsecan, and compares what they say. See scripts/judge-cves."""

import json
import pathlib
import re
import subprocess
import sys
import zlib

from debian.changelog import Changelog
from debian.debian_support import version_compare

CVE = re.compile(r"CVE-\d{4}-\d{4,}")
SIGNED = re.compile(r"^(linux)-signed-[a-z0-9]+$")


def packages(release):
    return json.loads((release / "packages.json").read_text())


def source_of(package):
    """Name and version of what the tracker speaks of: what was signed, not who signed it."""
    signed = SIGNED.match(package["source"])
    if signed:
        return signed[1], package["version"]
    return package["source"], package["source-version"]


def versions(release):
    found = {}
    for package in packages(release):
        name, version = source_of(package)
        found.setdefault(name, set()).add(version)
    return found


def changelogs(release):
    """Each source's changelog as text, from the release's documents."""
    archive = release / "package-documents.tar.zst"

    def tar(*words):
        command = ["tar", "--zstd", *words, "-f", str(archive)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    names = tar("-t").decode().split()
    found = {}
    for package in packages(release):
        name, _ = source_of(package)
        paths = [package["name"] + end for end in ("/changelog.Debian", "/changelog")]
        path = next((it for it in paths if it in names), None)
        if path and name not in found:
            words = ["tar", "--zstd", "-xOf", str(archive), path]
            found[name] = subprocess.run(words, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    return found


def issues(release):
    """(source, id) -> the version that fixes it: the oldest entry that names it."""
    found = {}
    for source, text in changelogs(release).items():
        for entry in Changelog(text, strict=False):
            for name in CVE.findall("\n".join(entry.changes())):
                found[source, name] = str(entry.version)
    return found


def twist(found):
    """What feeds say besides of a fixed version: not fixed at all (None), and never there (0)."""
    for number, key in enumerate(sorted(found)):
        if number % 7 == 3:
            found[key] = None
        elif number % 11 == 5:
            found[key] = "0"
    return found


def make(old, new, work):
    found = twist(issues(new))
    if not found:
        sys.exit(f"no changelog of {new} names an issue: there is nothing to judge")
    tracker = {}
    for (source, name), fixed in sorted(found.items()):
        state = {"status": "resolved", "fixed_version": fixed} if fixed else {"status": "open"}
        release = state | {"urgency": "not yet assigned"}
        suites = {suite: release for suite in ("bullseye", "bookworm", "trixie")}
        tracker.setdefault(source, {})[name] = {"description": "", "releases": suites}
    (work / "tracker.json").write_text(json.dumps(tracker))
    (work / "debsecan").mkdir()
    for side, release in (("old", old), ("new", new)):
        known = versions(release)
        text = debsecan(found, known)
        (work / "debsecan" / side).write_bytes(zlib.compress(text.encode()))
        # The kernel goes by the name that the tracker uses. By itself debsecan looks for the package with the signatures, and finds nothing.
        status = "".join(
            f"Package: {it['name']}\nStatus: install ok installed\nArchitecture: {it['architecture']}\n"
            f"Source: {source} ({version})\nVersion: {it['version']}\n\n"
            for it in packages(release)
            for source, version in [source_of(it)]
        )
        (work / f"{side}.status").write_text(status)
        (work / f"{side}.names").write_text(json.dumps({it["name"]: source_of(it)[0] for it in packages(release)}))
    print(f"{len(found)} issues of {len(tracker)} sources, from the changelogs of {new.name}")


def debsecan(found, known):
    """Its format, version 1. Debian says of most issues by which version unstable is safe and which versions of the suite are, too: every other
    issue is written like that."""
    names = sorted({name for _, name in found})
    numbers = {name: number for number, name in enumerate(names)}
    lines = ["VERSION 1"] + [f"{name},,{name}" for name in names] + [""]
    for number, ((source, name), fixed) in enumerate(sorted(found.items())):
        if fixed == "0":
            continue
        unstable, others = fixed or "", []
        if fixed and number % 2:
            unstable = "9999:1"
            others = [it for it in known.get(source, ()) if version_compare(it, fixed) >= 0]
        fix = "F" if fixed else " "
        lines.append(f"{source},{numbers[name]},S  {fix},{unstable},{' '.join(others)}")
    return "\n".join(lines + ["", ""])


def compare(work):
    bulletin = json.loads((work / "bulletin.json").read_text())
    # What the changelog alone says is no matter of feeds; what a feed calls open is, whatever the changelog says.
    listed = [
        ((it["source"], it["id"]), it["status"])
        for it in bulletin["issues"]["list"]
        if it["class"] in ("both", "feed") or it["status"] == "open"
    ]
    ours = {
        "old": {key for key, status in listed if status in ("fixed", "open")},
        "new": {key for key, status in listed if status in ("open", "new")},
    }
    differences = 0
    for side in ("old", "new"):
        names = json.loads((work / f"{side}.names").read_text())
        lines = (work / f"{side}.simple").read_text().splitlines()
        theirs = {(names[package], name) for name, package in (line.split() for line in lines)}
        print(f"{side}: {len(ours[side] & theirs)} said by both, {len(ours[side])} by the bulletin, {len(theirs)} by debsecan")
        rest = sorted(ours[side] ^ theirs)
        for key in rest[:20]:
            print(f"  {key[1]} of {key[0]}, by {'the bulletin' if key in ours[side] else 'debsecan'} alone")
        differences += len(rest)
    print(f"{differences} differences")
    return differences


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    folders = [pathlib.Path(it) for it in paths]
    sys.exit(1 if {"make": make, "compare": compare}[verb](*folders) else 0)
