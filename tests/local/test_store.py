"""The store: what an API server promises about objects, kept by files."""

import json
import stat
from datetime import UTC, datetime

import pytest

from headrace.cluster import Conflict
from headrace.local.refusals import AlreadyExists, UnreadableState
from headrace.local.store import Store, clean, read_objects

KEY = ("ConfigMap", "default", "one")


def clock() -> datetime:
    """A fixed time."""
    return datetime(2026, 1, 2, tzinfo=UTC)


def manifest(name: str = "one", **fields: object) -> dict:
    """A ConfigMap."""
    return {"kind": "ConfigMap", "metadata": {"name": name}, **fields}


def test_a_created_object_gets_the_metadata_of_a_server(tmp_path):
    """An object gets a UID, generation 1, a version and a time when it is created, and keeps none that it came with."""
    raw = Store(tmp_path, clock).create({**manifest(), "metadata": {"name": "one", "uid": "mine"}})
    assert raw["metadata"]["uid"] != "mine"
    assert (raw["metadata"]["generation"], raw["metadata"]["resourceVersion"], raw["metadata"]["namespace"]) == (
        1,
        "1",
        "default",
    )
    assert raw["metadata"]["creationTimestamp"] == "2026-01-02T00:00:00.000Z"


def test_objects_outlive_the_program(tmp_path):
    """A new store on the same folder has the same objects, and goes on counting versions."""
    first = Store(tmp_path, clock)
    first.create(manifest())
    second = Store(tmp_path, clock)
    assert second.list() == first.list()
    assert second.create(manifest("two"))["metadata"]["resourceVersion"] == "2"


def test_a_second_object_of_the_same_name_is_refused(tmp_path):
    """A name is given once."""
    store = Store(tmp_path, clock)
    store.create(manifest())
    with pytest.raises(AlreadyExists):
        store.create(manifest())


def test_the_generation_counts_changes_of_the_spec_only(tmp_path):
    """A new spec raises the generation; labels, data and status do not."""
    store = Store(tmp_path, clock)
    store.create(manifest(spec={"a": 1}))
    store.save_status(KEY, {"seen": True})
    assert store.replace(manifest(spec={"a": 1}, data={"k": "v"}))["metadata"]["generation"] == 1
    changed = store.replace(manifest(spec={"a": 2}))
    assert (changed["metadata"]["generation"], changed["status"]) == (2, {"seen": True})


def test_an_equal_object_is_not_written(tmp_path):
    """Replacing by the same and saving the same status leave the version alone."""
    store = Store(tmp_path, clock)
    store.create(manifest(data={"k": "v"}))
    store.save_status(KEY, {"seen": True})
    version = store.get(*KEY)["metadata"]["resourceVersion"]
    store.replace(manifest(data={"k": "v"}))
    store.save_status(KEY, {"seen": True})
    assert store.get(*KEY)["metadata"]["resourceVersion"] == version


def test_a_status_for_an_old_version_is_a_conflict(tmp_path):
    """Who observed an older version may not write the status, nor who observed an object that is gone."""
    store = Store(tmp_path, clock)
    version = store.create(manifest())["metadata"]["resourceVersion"]
    store.save_status(KEY, {"first": True}, version)
    with pytest.raises(Conflict):
        store.save_status(KEY, {"second": True}, version)
    store.remove(KEY)
    with pytest.raises(Conflict):
        store.save_status(KEY, {"third": True})


def test_half_a_write_is_never_read(tmp_path):
    """What a writer left half done when it was killed is not an object, and is cleaned away."""
    store = Store(tmp_path, clock)
    store.create(manifest())
    aside = tmp_path / "ConfigMap" / "default" / ".one.json.tmp"
    aside.write_text('{"kind": "Conf')
    assert len(Store(tmp_path, clock).list()) == 1
    clean(tmp_path)
    assert not aside.exists()


def test_a_broken_file_is_named(tmp_path):
    """A file that is not JSON is named with what to do."""
    folder = tmp_path / "ConfigMap" / "default"
    folder.mkdir(parents=True)
    (folder / "one.json").write_text("{")
    with pytest.raises(UnreadableState, match=r"one\.json is not JSON .* remove it, or give --state-dir"):
        Store(tmp_path, clock)


def test_secrets_are_readable_by_their_owner_only(tmp_path):
    """The file of a Secret has mode 0600, also after a change."""
    store = Store(tmp_path, clock)
    store.create({"kind": "Secret", "metadata": {"name": "one"}})
    store.replace({"kind": "Secret", "metadata": {"name": "one"}, "data": {"k": "dg=="}})
    assert stat.S_IMODE((tmp_path / "Secret/default/one.json").stat().st_mode) == 0o600


def test_an_earlier_deletion_stays(tmp_path):
    """Asking again with a longer grace does not put a deletion off; a shorter one brings it forward."""
    store = Store(tmp_path, clock)
    store.create(manifest())
    store.mark_deleting(KEY, 10)
    assert store.mark_deleting(KEY, 60)["metadata"]["deletionGracePeriodSeconds"] == 10
    assert store.mark_deleting(KEY, 0)["metadata"]["deletionTimestamp"] == "2026-01-02T00:00:00.000Z"


@pytest.mark.parametrize("name", ["../one", "", "One", "a/b", ".hidden"])
def test_a_name_never_leads_out_of_the_folder(tmp_path, name):
    """Only names of Kubernetes become files."""
    with pytest.raises(ValueError, match="is not a name"):
        Store(tmp_path, clock).create(manifest(name))


def test_listeners_hear_before_and_after(tmp_path):
    """A listener gets the object before and after every change."""
    store, heard = Store(tmp_path, clock), []
    store.listen(lambda before, after: heard.append((before and before.get("data"), after and after.get("data"))))
    store.create(manifest(data={"n": 1}))
    store.replace(manifest(data={"n": 2}))
    store.remove(KEY)
    assert heard == [(None, {"n": 1}), ({"n": 1}, {"n": 2}), ({"n": 2}, None)]


def test_custom_resources_are_read_without_the_lock(tmp_path, kit):
    """read_objects gives the custom resources alone, typed."""
    store = Store(tmp_path / "objects", clock)
    store.create(manifest())
    store.create(kit.job("digits").wire())
    assert [str(one.key) for one in read_objects(tmp_path)] == ["TrainJob default/digits"]


def test_an_object_of_another_version_is_named(tmp_path, kit):
    """An object that this version cannot read is named with what to do."""
    store = Store(tmp_path / "objects", clock)
    store.create(kit.job("digits").wire())
    path = tmp_path / "objects/TrainJob/default/digits.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "spec": {}}))
    with pytest.raises(UnreadableState, match=r"TrainJob default/digits .* use the version of Headrace that wrote it"):
        read_objects(tmp_path)
