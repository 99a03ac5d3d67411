"""The Applications of examples/argocd point at what there is."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
APPLICATIONS = sorted((ROOT / "examples" / "argocd").rglob("*.yaml"))


@pytest.mark.parametrize("path", APPLICATIONS, ids=lambda path: path.stem)
def test_application(path: Path) -> None:
    """The folder exists and has manifests or a chart, what is pruned is meant to be, and no difference has to be ignored."""
    application = yaml.safe_load(path.read_text())
    assert (application["kind"], application["metadata"]["namespace"]) == ("Application", "argocd")
    spec = application["spec"]
    folder = ROOT / spec["source"]["path"]
    assert list(folder.glob("*.yaml"))
    assert (folder / "Chart.yaml").exists() == ("helm" in spec["source"])
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert "ServerSideApply=true" in spec["syncPolicy"]["syncOptions"]
    assert "ignoreDifferences" not in spec


def test_one_repository() -> None:
    """All three come from one repository and revision, so that one search finds what to replace."""
    sources = [yaml.safe_load(path.read_text())["spec"]["source"] for path in APPLICATIONS]
    assert len({(source["repoURL"], source["targetRevision"]) for source in sources}) == 1


def test_no_manifest_sets_the_workers_that_people_scale() -> None:
    """workers.desired stays out of Git: self-healing would undo every kubectl scale."""
    for path in (ROOT / "examples").rglob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            assert "desired" not in manifest["spec"].get("workers", {}), path
