"""Every path of the contents document is an occurrence of exactly one component, with its digest."""
import collections
import json
import pathlib
import sys

release = pathlib.Path(sys.argv[1])
paths = {}
for line in (release / "contents.jsonl").open():
    entry = json.loads(line)
    paths["/" + entry["path"]] = entry.get("sha256")
counts = collections.Counter()
for part in json.load(open(release / "sbom.cdx.json"))["components"]:
    for occurrence in part.get("evidence", {}).get("occurrences", []):
        location = occurrence["location"]
        if not location.startswith("/"):
            continue
        counts[location] += 1
        digest = paths.get(location)
        if digest and occurrence.get("additionalContext") != f"sha256:{digest}":
            sys.exit(f"{location} has another digest")
missing = [path for path in paths if counts[path] != 1]
extra = [path for path in counts if path not in paths]
if missing or extra:
    sys.exit(f"not in one component: {missing[:5]}, in no image: {extra[:5]}")
print(f"  {len(paths)} paths, {100 * sum(counts.values()) / len(paths):.1f} % in exactly one component")
