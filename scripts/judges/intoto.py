"""The statement is one, and its subjects are the files of the release."""
import hashlib
import json
import pathlib
import sys

from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2

release = pathlib.Path(sys.argv[1])
document = json.loads((release / "provenance.intoto.json").read_text())
statement = json_format.ParseDict(document, statement_pb2.Statement())
assert statement.type == "https://in-toto.io/Statement/v1", statement.type
assert statement.predicate_type == "https://slsa.dev/provenance/v1", statement.predicate_type
for subject in statement.subject:
    found = hashlib.sha256((release / subject.name).read_bytes()).hexdigest()
    assert found == subject.digest["sha256"], subject.name
dependencies = document["predicate"]["buildDefinition"]["resolvedDependencies"]
assert all(len(it["digest"]["sha256"]) == 64 for it in dependencies)
print(f"  {len(statement.subject)} subjects, {len(dependencies)} resolved dependencies")
