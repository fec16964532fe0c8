"""Rules between jobs: how they are declared and stored. Pure.

``limit``         the rules of a kind or a submit: concurrency, rates, order, fairness, uniqueness.
``key_template``  their keys, which a job's arguments fill.
``stored``        a job's limits as its row has them.
"""
