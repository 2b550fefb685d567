"""Every package URL reads and is written again as it was."""
import json
import sys

from packageurl import PackageURL

count = 0
for part in json.load(open(sys.argv[1]))["components"]:
    if purl := part.get("purl"):
        count += 1
        again = PackageURL.from_string(purl).to_string()
        if again != purl:
            sys.exit(f"{purl} becomes {again}")
print(f"  {count} package URLs")
