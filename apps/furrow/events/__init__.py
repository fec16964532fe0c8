"""Events: what a project publishes, and who subscribes.

``publish``      an event of one's own, in the caller's transaction;
``occurred``     an event as a subscriber gets it;
``subscribers``  ``@subscribe``: kinds that are run for each event, and their queues;
``published``    the order of publication, for who reads on from a place;
``replay``       events that are kept, once more for one subscriber.
"""
