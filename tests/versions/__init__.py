"""The tests on other releases of Python, Django and the servers: those of another Debian, in a folder of its own."""
