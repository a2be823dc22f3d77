"""Reading logs of any size: blocks of text, compiled scanners, and what is set aside."""
