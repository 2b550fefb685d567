"""Judges a CycloneDX document by OWASP's library: the strict schema, and reading it as a bill."""
import json
import sys

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error is not None:
    sys.exit(f"not valid: {str(error)[:2000]}")
document = json.loads(text)
references = [part["bom-ref"] for part in document["components"]] + [document["metadata"]["component"]["bom-ref"]]
if len(set(references)) != len(references):
    sys.exit("a bom-ref is there twice")
for dependency in document["dependencies"]:
    for reference in [dependency["ref"], *dependency.get("dependsOn", [])]:
        if reference not in references:
            sys.exit(f"{reference} is no component")
print(f"  {len(document['components'])} components, {len(Bom.from_json(document).components)} read back")
