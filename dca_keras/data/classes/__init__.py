"""Which values or colours of masks stand for which class."""
