"""Registration of sample data, and loading of samples whose files are at hand."""

from __future__ import annotations

import hashlib
import logging
import os
import urllib.request
from typing import Any

import slicer


class SampleDataSource:
    """One sample: where it comes from and what it becomes."""

    def __init__(
        self,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: Any = None,
    ) -> None:
        def as_list(value: Any) -> list[Any]:
            return list(value) if isinstance(value, (list, tuple)) else [value]

        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.uris = as_list(uris)
        self.fileNames = as_list(fileNames)
        self.nodeNames = as_list(nodeNames)
        self.checksums = as_list(checksums)
        self.loadFiles = as_list(loadFiles)
        self.loadFileTypes = as_list(loadFileTypes)
        self.loadFileProperties = loadFileProperties or {}
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        lengths = {len(self.uris), len(self.fileNames), len(self.nodeNames)}
        if len(lengths) > 1:
            raise ValueError(
                f"Sample {sampleName!r}: uris, fileNames and nodeNames differ in number."
            )
        if thumbnailFileName and not os.path.isfile(thumbnailFileName):
            raise ValueError(f"Sample {sampleName!r}: there is no thumbnail {thumbnailFileName}.")


_titles: dict[str, str] = {}


class SampleDataLogic:
    """Registers and fetches samples."""

    @staticmethod
    def _sources() -> dict[str, list[SampleDataSource]]:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        return slicer.modules.sampleDataSources

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Name a category for people."""
        _titles[category] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFiles: Any = None,
        loadFileProperties: Any = None,
        checksums: Any = None,
        sampleDescription: str | None = None,
    ) -> None:
        """Register a sample, once."""
        source = SampleDataSource(
            sampleName=sampleName,
            sampleDescription=sampleDescription,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            checksums=checksums,
            loadFiles=loadFiles,
            customDownloader=customDownloader,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFileProperties=loadFileProperties,
        )
        known = SampleDataLogic._sources().setdefault(category, [])
        if all(vars(other) != vars(source) for other in known):
            known.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        """Give the samples of a category, or all of them."""
        sources = SampleDataLogic._sources()
        return sources if category is None else sources.get(category, [])

    def sourceForSampleName(self, sampleName: str) -> SampleDataSource | None:
        """Give a sample by name."""
        for sources in self._sources().values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None

    def downloadSample(self, sampleName: str) -> Any:
        """Fetch a sample and load its first node."""
        return self.downloadSamples(sampleName)[0]

    def downloadSamples(self, sampleName: str) -> list[Any]:
        """Fetch a sample and load its nodes; only ``file:`` addresses work in the host."""
        source = self.sourceForSampleName(sampleName)
        if source is None:
            raise ValueError(f"There is no sample named {sampleName!r}.")
        nodes = []
        for uri, name, node_name, checksum in zip(
            source.uris, source.fileNames, source.nodeNames, source.checksums, strict=True
        ):
            path = os.path.join(slicer.app.cachePath, name)
            logging.info("Fetching %s", uri)
            if not uri.startswith("file:"):
                raise RuntimeError(f"The host does not go to the network: {uri}")
            urllib.request.urlretrieve(uri, path)
            _check(path, checksum)
            nodes.append(slicer.util.loadVolume(path, {"name": node_name}))
        return nodes


def _check(path: str, checksum: str | None) -> None:
    if checksum is None:
        return
    algorithm, digest = checksum.split(":")
    with open(path, "rb") as file:
        found = hashlib.new(algorithm.lower(), file.read()).hexdigest()
    if found != digest:
        raise RuntimeError(f"{path} has checksum {found}, expected {digest}.")


def downloadSample(sampleName: str) -> Any:
    """Fetch a sample and load its first node."""
    return SampleDataLogic().downloadSample(sampleName)
