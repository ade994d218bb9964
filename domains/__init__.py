"""The pure core: what the pipeline decides, without any driver. Standard library and pyahocorasick only."""
