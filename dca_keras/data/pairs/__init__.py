"""Which files of a folder are images, and which mask is whose."""
