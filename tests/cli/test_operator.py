"""What `headrace operator` is told, and refuses to start with."""

import pytest

from headrace.cli.operator import OpenRoot, read_root


def test_a_storage_root_with_credentials_is_refused_and_not_repeated() -> None:
    """Every object's status names the root: a password in it would be read by all who may see an object."""
    with pytest.raises(OpenRoot, match="--storage-root holds credentials") as refused:
        read_root("s3://key:marker@bucket/headrace")
    assert "marker" not in str(refused.value)
    assert read_root("s3://bucket/headrace") == "s3://bucket/headrace"
