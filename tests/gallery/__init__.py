"""The pictures in ``docs/screenshots``: ``make screenshots`` makes all of them anew, on a stack of their own.

``shop`` declares the kinds that they show, ``scene`` fills a database with a day in that shop's life, ``pages`` says which
pages there are, ``__main__`` starts everything and takes them: light, dark, and on a phone.
"""
