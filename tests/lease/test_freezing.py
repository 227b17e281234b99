"""What is frozen: a copy of each release that meets others, whole, and never changed (tests/frozen)."""

import hashlib
import re

import pytest

import asyncslot
import freeze
from asyncslot import _meeting
from frozen_copies import COPIES, FROZEN, TESTS, Frozen
from vendored import vendor

# The protocol of 0.4.0, which was the first release that met others.
FIRST_PROTOCOL = 2


# --- What is frozen


@pytest.mark.once
def test_every_protocol_of_the_past_has_a_frozen_copy():
    """When the number is raised, the last release that spoke the old one is there."""
    assert set(range(FIRST_PROTOCOL, _meeting.PROTOCOL)) <= {copy.protocol for copy in COPIES}


@pytest.mark.once
def test_every_release_of_the_past_has_a_frozen_copy():
    """From 0.4.0 on; not yet the one that this tree is."""
    changelog = (TESTS.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    released = set(re.findall(r"^## \[(\d.*)\] - ", changelog, re.MULTILINE)) - {asyncslot.__version__}
    assert released <= {copy.label for copy in COPIES}


@pytest.mark.once
def test_no_frozen_copy_was_changed():
    """README.md beside them has the sha256 of each."""
    readme = (FROZEN / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\S+) \| (\d+) \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE)
    found = [(copy.label, str(copy.protocol), hashlib.sha256(copy.path.read_bytes()).hexdigest()) for copy in COPIES]
    assert sorted(told) == sorted(found)


@pytest.mark.once
@pytest.mark.parametrize("copy", COPIES, ids=[copy.label for copy in COPIES])
def test_a_frozen_copy_is_the_release_that_its_name_says(copy, tmp_path):
    """Whole, as scripts/vendor.py made it from a commit of that release."""
    copy.make(tmp_path)
    record = vendor.read_record(tmp_path / "asyncslot")
    assert copy.version == copy.label == record.origin.version
    assert re.fullmatch("[0-9a-f]{40}", record.origin.commit)
    assert record.adapters is None
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in copy.files.items()}
    del hashes["asyncslot/VENDORED.md"]
    assert {f"asyncslot/{name}": digest for name, digest in record.manifest.items()} == hashes


def source_of_a_release(version="1.2.3", commit="0" * 40):
    source = vendor.Source()
    source.origin = source.origin._replace(version=version, commit=commit)
    return source


@pytest.mark.once
def test_freezing_gives_the_same_bytes_each_time(tmp_path):
    """Sorted, not compressed, without times; and one that is there is left alone."""
    path, line = freeze.freeze(tmp_path, source_of_a_release())
    first = path.read_bytes()
    assert line == f"| 1.2.3 | {_meeting.PROTOCOL} | `{hashlib.sha256(first).hexdigest()}` |"
    entries = Frozen(path).entries
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(entry.date_time, entry.compress_type, entry.create_system) for entry in entries} == {(freeze.DATE, 0, 3)}
    assert freeze.freeze(tmp_path, source_of_a_release())[0].read_bytes() == first
    path.unlink()
    assert freeze.freeze(tmp_path, source_of_a_release())[0].read_bytes() == first


@pytest.mark.once
def test_only_a_release_can_be_frozen_and_only_once(tmp_path):
    """Not what is on the way to one, nor with edits that no commit has, nor another one of the same number."""
    for source in (
        source_of_a_release(version="1.2.3.dev0"),
        source_of_a_release(commit="0" * 40 + ", with changes that were not committed"),
    ):
        with pytest.raises(vendor.VendorError, match="only a release"):
            freeze.freeze(tmp_path, source)
    assert list(tmp_path.iterdir()) == []
    freeze.freeze(tmp_path, source_of_a_release())
    with pytest.raises(vendor.VendorError, match="never changed"):
        freeze.freeze(tmp_path, source_of_a_release(commit="1" * 40))
