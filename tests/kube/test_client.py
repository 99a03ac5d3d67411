"""The API's answers as exceptions with a sentence, and the names under which requests are counted."""

import pytest

from headrace.cluster import Conflict, Unavailable
from headrace.kube.client import ApiError, Exists, NotFound, Refused, Stale, _error, plural_of


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/v1/namespaces/a/pods/p", "pods"),
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces", "namespaces"),
        ("/apis/headrace.dev/v1alpha1/namespaces/a/trainjobs/t/status", "trainjobs/status"),
        ("/apis/coordination.k8s.io/v1/namespaces/a/leases/l", "leases"),
    ],
)
def test_requests_are_counted_by_resource(path, name):
    """Not by object: that would be a new series an object."""
    assert plural_of(path) == name


@pytest.mark.parametrize(
    ("code", "body", "kind", "message"),
    [
        (404, b'{"reason":"NotFound","message":"pods \\"p\\" not found"}', NotFound, 'pods "p" not found'),
        (409, b'{"reason":"AlreadyExists","message":"there"}', Exists, "there"),
        (409, b'{"reason":"Conflict","message":"modified"}', Stale, "modified"),
        (403, b'{"reason":"Forbidden","message":"exceeded quota"}', Refused, "exceeded quota"),
        (422, b'{"reason":"Invalid","message":"spec.x"}', Refused, "spec.x"),
        (429, b"", ApiError, "GET /x: GET /x was answered with 429"),
        (502, b"<html>proxy</html>", ApiError, "GET /x: <html>proxy</html>"),
    ],
)
def test_an_answer_becomes_an_exception(code, body, kind, message):
    """All can be tried again later; a stale write is a conflict."""
    error = _error(code, body, "GET", "/x")
    assert (type(error), str(error), error.code) == (kind, message, code)
    assert isinstance(error, Unavailable)
    assert isinstance(error, Conflict) == (kind is Stale)
