"""Does what `kustomize build` does with deploy/k8s, for machines without kustomize. An unknown field is an error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "configMapGenerator",
    "images",
    "patches",
}


def build(directory: Path) -> list[Manifest]:
    """The manifests, in any order. Names of generated ConfigMaps get no hash."""
    return _apply(directory, [])


def _apply(directory: Path, manifests: list[Manifest]) -> list[Manifest]:
    it = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    assert it.keys() <= _KNOWN, f"{directory}: {it.keys() - _KNOWN}"
    manifests = [*manifests, *(manifest for name in it["resources"] for manifest in _load(directory / name))]
    for generator in it.get("configMapGenerator", []):
        _generate(directory, generator, manifests)
    for component in it.get("components", []):
        manifests = _apply(directory / component, manifests)
    for patch in it.get("patches", []):
        manifests = _patched(manifests, yaml.safe_load((directory / patch["path"]).read_text(encoding="utf-8")))
    for manifest in manifests:
        _rename(manifest, it)
    return manifests


def _load(path: Path) -> list[Manifest]:
    return build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _generate(directory: Path, generator: dict[str, Any], manifests: list[Manifest]) -> None:
    lines = [line for name in generator["envs"] for line in (directory / name).read_text().splitlines()]
    data = dict(line.split("=", 1) for line in lines)
    if generator.get("behavior") == "merge":
        (there,) = _of(manifests, "ConfigMap", generator["name"])
        there["data"] |= data
    else:
        metadata = {"name": generator["name"]}
        manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _of(manifests: list[Manifest], kind: str, name: str) -> Iterator[Manifest]:
    return (it for it in manifests if (it["kind"], it["metadata"]["name"]) == (kind, name))


def _patched(manifests: list[Manifest], patch: Manifest) -> list[Manifest]:
    (target,) = _of(manifests, patch["kind"], patch["metadata"]["name"])
    if patch.get("$patch") == "delete":
        return [it for it in manifests if it is not target]
    return [_merged(it, patch) if it is target else it for it in manifests]


def _merged(old: Any, new: Any) -> Any:
    """Merges as a strategic merge patch does: lists whose items have names are merged by name."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list) and all("name" in it for it in new):
        changes = {it["name"]: it for it in new}
        assert changes.keys() <= {it["name"] for it in old}
        return [_merged(it, changes.get(it["name"], {})) for it in old]
    return new


def _rename(manifest: Manifest, kustomization: dict[str, Any]) -> None:
    if "namespace" in kustomization and manifest["kind"] != "Namespace":
        manifest["metadata"]["namespace"] = kustomization["namespace"]
    if manifest["kind"] in ("Deployment", "StatefulSet"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            for image in kustomization.get("images", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
