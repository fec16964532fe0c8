"""How long each page of the admin takes to its first byte when the tables are large: ``make bench-pages``.

``population`` fills the tables, ``addresses`` lists the pages, ``visitor`` logs in and measures.
"""
