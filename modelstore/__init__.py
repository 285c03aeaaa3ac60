"""Names, sources, blobs and manifests of the models on this machine."""
